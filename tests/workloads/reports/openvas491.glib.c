/*
 * The mechanism of https://github.com/greenbone/openvas-scanner/pull/491, with GLib itself: a lock of GLib's
 * own kind, here one of G_LOCK_DEFINE, is held by a thread of a GThreadPool at the fork.
 * The tracer must say: inherited-lock.
 *
 * openvas491 [SECONDS]
 */
#include "../common.h"
#include <glib.h>

G_LOCK_DEFINE_STATIC(plugins);
static atomic_int taken;

static void load_plugins(gpointer task, gpointer arg) {
    (void)task, (void)arg;
    G_LOCK(plugins);
    taken = 1;
    for (;;) nap(1);
}

static __attribute__((noinline)) void launch_plugin(void) { G_LOCK(plugins); }

int main(int argc, char **argv) {
    GThreadPool *pool = g_thread_pool_new(load_plugins, NULL, 1, TRUE, NULL);
    g_thread_pool_push(pool, GINT_TO_POINTER(1), NULL);
    while (!taken) nap(0.01);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", other_threads());
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        launch_plugin();
        _exit(98);
    }
    reap();
    _exit(0);
}

/*
 * The cure: pthread_atfork takes the lock before the fork and releases it in parent and child. So
 * the child inherits it held, but has released it since; later one of its threads keeps it while
 * another waits. The tracer must say nothing.
 *
 * atfork [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int held;
static long seconds;

static void take(void) { pthread_mutex_lock(&lock); }
static void release(void) { pthread_mutex_unlock(&lock); }

static void *hold(void *arg) {
    (void)arg;
    take();
    held = 1;
    nap(seconds);
    release();
    return NULL;
}

int main(int argc, char **argv) {
    seconds = number(argc, argv, 1, 3);
    check(pthread_atfork(take, release, release) == 0, "pthread_atfork");
    if (fork_or_die() == 0) {
        pthread_t thread;
        start(&thread, hold, NULL);
        while (!held) nap(0.01);
        take();
        _exit(0);
    }
    reap();
    return 0;
}

/*
 * A child hangs on an inherited mutex. Its parent kills it, as a supervisor would, and takes notice of
 * its end only later: until then it is a zombie. The tracer must not say that no child hangs.
 *
 * killed_hang [SECONDS]   after so many the child is killed
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int held;

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    held = 1;
    for (;;) nap(1);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread;
    start(&thread, hold, NULL);
    while (!held) nap(0.001);
    pid_t child = fork_or_die();
    if (child == 0) {
        hang_at_most(20);
        pthread_mutex_lock(&lock);
        _exit(98);
    }
    nap((double)number(argc, argv, 1, 3));
    check(kill(child, SIGKILL) == 0, "kill");
    nap(2);
    reap();
    return 0;
}

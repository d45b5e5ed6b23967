/*
 * A child with a pool of threads that have nothing to do: they wait for a condition that was there
 * at the fork, and so does the main thread, until a signal ends the process. Whatever it means by
 * that: none of its threads can ever run again, and the tracer says so, about one of them.
 *
 * idle_pool THREADS [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;

static void *idle(void *arg) {
    pthread_mutex_lock(&lock);
    for (;;) pthread_cond_wait(&work, &lock);
    return arg;
}

static void *idle_beside(void *arg) {
    dprintf(1, "also=%d %d\n", getpid(), gettid());
    return idle(arg);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    pthread_t thread;
    start(&thread, idle, NULL);
    nap(0.1);
    pid_t child = fork_or_die();
    if (child == 0) {
        fact("stuck", getpid());
        for (long i = number(argc, argv, 1, 3); i > 0; i--) start(&thread, idle_beside, NULL);
        idle(NULL);
    }
    nap((double)lasts(number(argc, argv, 2, 4)));
    kill(child, SIGTERM);
    reap();
    return 0;
}

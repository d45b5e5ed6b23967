/*
 * A process that never waits for its children, and whose first thread ends while others go on: one
 * has a lock, the other forks. The child wants the lock and hangs.
 * The tracer must say: inherited-lock, certain, held by the thread named as holder.
 *
 * zombies CHILDREN [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_long holder;
static long seconds;

static void *hold(void *arg) {
    pthread_mutex_lock(&lock);
    holder = gettid();
    for (;;) pause();
    return arg;
}

static void *fork_it(void *arg) {
    while (holder == 0) nap(0.01);
    nap(0.2);
    if (fork_or_die() == 0) {
        hang_at_most(seconds);
        pthread_mutex_lock(&lock);
        _exit(98);
    }
    fact("holder", holder);
    nap((double)seconds);
    _exit(0);
    return arg;
}

int main(int argc, char **argv) {
    seconds = number(argc, argv, 2, 6);
    pthread_t thread;
    for (long i = number(argc, argv, 1, 10); i > 0; i--) {
        pid_t child = fork_or_die();
        if (child == 0) _exit(0);
        fact("zombie", child);
    }
    start(&thread, hold, NULL);
    start(&thread, fork_it, NULL);
    pthread_exit(NULL);
}

/*
 * A child takes a mutex, and takes it again. The fork has nothing to do with it.
 * The tracer must say: self-deadlock, certain, held by the waiting thread itself.
 *
 * self_deadlock KIND [SECONDS]
 *   KIND  normal | adaptive | robust; recursive: the second time succeeds, so that the child goes
 *         on and the tracer must say nothing
 */
#include "common.h"

static pthread_mutex_t lock;

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    if (!strcmp(argv[1], "adaptive")) pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    if (!strcmp(argv[1], "recursive")) pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    if (!strcmp(argv[1], "robust")) pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&lock, &attr);
    wait_until_told();
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 2, 6));
        fact("holder", getpid());
        pthread_mutex_lock(&lock);
        pthread_mutex_lock(&lock);
        nap(2);
        _exit(0);
    }
    fact("forker", getpid());
    fact("lost", 0);
    reap();
    return 0;
}

/*
 * A semaphore used as a lock, on the heap, is at zero when the child is forked; the child waits for
 * it and hangs, although the parent posts it right after the fork.
 * The tracer must say: inherited-lock, certain, a semaphore, holder unknown.
 *
 * inherited_semaphore [SECONDS]
 */
#include "common.h"

int main(int argc, char **argv) {
    sem_t *lock = malloc(sizeof *lock);
    check(lock != NULL && sem_init(lock, 0, 1) == 0, "sem_init");
    wait_until_told();
    sem_wait(lock);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        nap(0.2);
        sem_wait(lock);
        _exit(98);
    }
    sem_post(lock);
    fact("forker", getpid());
    fact("lost", 0);
    reap();
    return 0;
}

/*
 * The forking thread holds a semaphore; its heir in the child releases it, takes it again, and then
 * waits for itself. A limit: a post that wakes nobody makes no system call, so that the semaphore
 * looks as if it had been held ever since the fork. That the child hangs is true, why is not.
 *
 * retaken_semaphore [SECONDS]
 */
#include "common.h"

int main(int argc, char **argv) {
    sem_t *lock = malloc(sizeof *lock);
    check(lock != NULL && sem_init(lock, 0, 1) == 0, "sem_init");
    wait_until_told();
    sem_wait(lock);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        sem_post(lock);
        sem_wait(lock);
        nap(0.1);
        sem_wait(lock);
        _exit(98);
    }
    sem_post(lock);
    reap();
    return 0;
}

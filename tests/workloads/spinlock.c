/*
 * A spinlock is held when the child is forked; the child spins on it for ever.
 * A limit: a spinning thread makes no system call that could be judged. The tracer says nothing.
 *
 * spinlock [SECONDS]
 */
#include "common.h"

static pthread_spinlock_t lock;

int main(int argc, char **argv) {
    pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE);
    wait_until_told();
    pthread_spin_lock(&lock);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 3));
        pthread_spin_lock(&lock);
        _exit(98);
    }
    pthread_spin_unlock(&lock);
    reap();
    return 0;
}

/*
 * A child takes a mutex that was free at the fork, and then takes it again: it waits for itself.
 * The tracer must not call the lock inherited.
 *
 * self_deadlock [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int main(int argc, char **argv) {
    wait_until_told();
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        pthread_mutex_lock(&lock);
        pthread_mutex_lock(&lock);
        _exit(98);
    }
    reap();
    return 0;
}

/*
 * A mutex is held when the child is forked; the child tries for it again and again, a short while
 * each time. A limit: no wait of it lasts. The tracer says nothing.
 *
 * timed_retry [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int main(int argc, char **argv) {
    wait_until_told();
    pthread_mutex_lock(&lock);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 4));
        struct timespec until;
        do {
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec += 2;
        } while (pthread_mutex_timedlock(&lock, &until) == ETIMEDOUT);
        _exit(98);
    }
    reap();
    return 0;
}

/*
 * The child wants a lock inherited held, but with a timeout, and gives up. The tracer must say
 * nothing: it does not hang.
 *
 * timed_wait [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int main(int argc, char **argv) {
    pthread_mutex_lock(&lock);
    if (fork_or_die() == 0) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += number(argc, argv, 1, 3);
        check(pthread_mutex_timedlock(&lock, &until) == ETIMEDOUT, "pthread_mutex_timedlock");
        _exit(0);
    }
    reap();
    return 0;
}

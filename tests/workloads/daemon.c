/*
 * A daemon the old way: two forks and a new session, while a lock is held that the daemon never
 * touches. Its parents are gone at once. The tracer must say nothing, and follow it to its end.
 *
 * daemon [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int main(int argc, char **argv) {
    pthread_mutex_lock(&lock);
    if (fork_or_die() > 0) _exit(0);
    setsid();
    if (fork_or_die() > 0) _exit(0);
    fact("born", getpid());
    nap(number(argc, argv, 1, 2));
    return 0;
}

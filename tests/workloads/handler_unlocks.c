/*
 * The forking thread holds a mutex at the fork. Its heir waits for it, and after a while the handler
 * of its own SIGALRM unlocks it, which POSIX does not allow and glibc lets pass. A limit: beside a
 * handler the wait is not called proven, but likely.
 *
 * handler_unlocks [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void unlock(int signal) {
    (void)signal;
    pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv) {
    long seconds = number(argc, argv, 1, 4);
    wait_until_told();
    pthread_mutex_lock(&lock);
    if (fork_or_die() == 0) {
        fact("born", getpid());
        signal(SIGALRM, unlock);
        alarm((unsigned)seconds);
        pthread_mutex_lock(&lock);
        _exit(0);
    }
    reap();
    return 0;
}

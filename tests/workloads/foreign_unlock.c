/*
 * A thread of the parent holds a normal mutex at the fork. In the child one thread waits for it, and
 * another one, which does not own it, unlocks it after a while. POSIX leaves that undefined; glibc
 * lets it pass. A limit: the tracer calls the wait hopeless, as only the owner could end it.
 *
 * foreign_unlock [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int held;
static long seconds;

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    held = 1;
    nap(60);
    return NULL;
}

static void *unlock(void *arg) {
    (void)arg;
    nap(seconds);
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(int argc, char **argv) {
    seconds = number(argc, argv, 1, 4);
    wait_until_told();
    pthread_t thread;
    start(&thread, hold, NULL);
    while (!held) nap(0.01);
    if (fork_or_die() == 0) {
        fact("born", getpid());
        start(&thread, unlock, NULL);
        pthread_mutex_lock(&lock);
        _exit(0);
    }
    reap();
    return 0;
}

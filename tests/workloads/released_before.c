/*
 * The lock was taken and released before the fork. In the child one thread takes it and keeps it
 * for a while; the other waits, rightly. The tracer must say nothing.
 *
 * released_before [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int held;
static long seconds;

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    held = 1;
    nap(seconds);
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(int argc, char **argv) {
    seconds = number(argc, argv, 1, 3);
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    if (fork_or_die() == 0) {
        pthread_t thread;
        start(&thread, hold, NULL);
        while (!held) nap(0.01);
        pthread_mutex_lock(&lock);
        _exit(0);
    }
    reap();
    return 0;
}

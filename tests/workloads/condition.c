/*
 * A thread of the child waits for a condition that another of its threads signals after a while.
 * The tracer must say nothing.
 *
 * condition [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int ready;
static long seconds;

static void *signaller(void *arg) {
    (void)arg;
    nap(seconds);
    pthread_mutex_lock(&lock);
    ready = 1;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(int argc, char **argv) {
    seconds = number(argc, argv, 1, 3);
    if (fork_or_die() == 0) {
        pthread_t thread;
        start(&thread, signaller, NULL);
        pthread_mutex_lock(&lock);
        while (!ready) pthread_cond_wait(&condition, &lock);
        pthread_mutex_unlock(&lock);
        _exit(0);
    }
    reap();
    return 0;
}

/*
 * A thread of the parent was to wake the child's heir: the child waits for the lost thread.
 * The tracer must not call anything inherited held.
 *
 * lost_thread condition|barrier [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;

static void *work(void *arg) {
    (void)arg;
    nap(1);
    pthread_cond_signal(&done);
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    pthread_barrier_init(&barrier, NULL, 2);
    wait_until_told();
    pthread_t thread;
    start(&thread, work, NULL);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 2, 6));
        if (!strcmp(argv[1], "barrier")) pthread_barrier_wait(&barrier);
        pthread_mutex_lock(&lock);
        for (;;) pthread_cond_wait(&done, &lock);
    }
    pthread_join(thread, NULL);
    reap();
    return 0;
}

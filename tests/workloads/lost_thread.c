/*
 * A thread of the parent was to wake the child's heir: the child waits for the lost thread.
 * The tracer should call that a lost waker.
 *
 * lost_thread condition|barrier|semaphore [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t *posted;

static void *work(void *arg) {
    (void)arg;
    nap(1);
    pthread_cond_signal(&done);
    sem_post(posted);
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    posted = malloc(sizeof *posted);
    check(posted != NULL && sem_init(posted, 0, 0) == 0, "sem_init");
    pthread_barrier_init(&barrier, NULL, 2);
    wait_until_told();
    pthread_t thread;
    start(&thread, work, NULL);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 2, 6));
        if (!strcmp(argv[1], "barrier")) pthread_barrier_wait(&barrier);
        if (!strcmp(argv[1], "semaphore")) sem_wait(posted);
        pthread_mutex_lock(&lock);
        for (;;) pthread_cond_wait(&done, &lock);
    }
    pthread_join(thread, NULL);
    reap();
    return 0;
}

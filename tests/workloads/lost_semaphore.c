/*
 * A thread of the parent was to post a semaphore on the heap; the child waits for it, and the thread
 * is not there. A limit: a semaphore at zero looks the same whether it is a lock that is held or a
 * signal that has not come. The tracer says inherited-lock, certain. That the child hangs is true.
 *
 * lost_semaphore [SECONDS]
 */
#include "common.h"

static sem_t *posted;

static void *work(void *arg) {
    (void)arg;
    nap(1);
    sem_post(posted);
    return NULL;
}

int main(int argc, char **argv) {
    posted = malloc(sizeof *posted);
    check(posted != NULL && sem_init(posted, 0, 0) == 0, "sem_init");
    wait_until_told();
    pthread_t thread;
    start(&thread, work, NULL);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        sem_wait(posted);
        _exit(98);
    }
    pthread_join(thread, NULL);
    reap();
    return 0;
}

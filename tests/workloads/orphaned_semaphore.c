/*
 * A semaphore on the heap is held when the child is forked; one thread of the child waits for it,
 * another lives on and will never post it.
 * A limit: a semaphore does not say who has it, so that the living thread may be the one. The
 * tracer suspects.
 *
 * orphaned_semaphore [SECONDS]
 */
#include "common.h"

static sem_t *lock;

static void *live(void *arg) {
    (void)arg;
    for (;;) nap(0.1);
    return NULL;
}

int main(int argc, char **argv) {
    lock = malloc(sizeof *lock);
    check(lock != NULL && sem_init(lock, 0, 1) == 0, "sem_init");
    wait_until_told();
    sem_wait(lock);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        pthread_t thread;
        start(&thread, live, NULL);
        sem_wait(lock);
        _exit(98);
    }
    sem_post(lock);
    reap();
    return 0;
}

/*
 * A thread of the parent takes a semaphore all the time, used as a lock. It is at zero when the child
 * is forked; the child has several threads, and one of them waits for it for ever. Nothing tells such
 * a lock from a signal that another thread of the child will give: the tracer may suspect something,
 * and must not say more.
 *
 * semaphore_of_thread [SECONDS] [DELAY]
 *   DELAY  seconds before the fork, for the tracer to attach probes
 */
#include "common.h"

static sem_t *lock;
static atomic_int held;

static void *hammer(void *arg) {
    (void)arg;
    for (;;) {
        sem_wait(lock);
        atomic_store(&held, 1);
        nap(0.02);
        atomic_store(&held, 0);
        sem_post(lock);
        nap(0.001);
    }
    return NULL;
}

static void *rest(void *arg) {
    (void)arg;
    for (;;) nap(0.05);
    return NULL;
}

static void *take(void *arg) {
    (void)arg;
    sem_wait(lock);
    _exit(98);
}

int main(int argc, char **argv) {
    lock = malloc(sizeof *lock);
    check(lock != NULL && sem_init(lock, 0, 1) == 0, "sem_init");
    pthread_t thread;
    start(&thread, hammer, NULL);
    nap(number(argc, argv, 2, 0));
    while (!atomic_load(&held)) nap(0.001);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 3));
        nap(0.1);
        start(&thread, rest, NULL);
        start(&thread, take, NULL);
        rest(NULL);
    }
    int status;
    wait(&status);
    exit(0);
}

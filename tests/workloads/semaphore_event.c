/*
 * A semaphore that is at zero by design: one thread of the child waits for it, another posts it
 * after a while. By its memory it looks like a lock inherited held, so the tracer may suspect it,
 * and must not say more.
 *
 * semaphore_event [SECONDS]
 */
#include "common.h"

static long seconds;

static void *poster(void *arg) {
    nap(seconds);
    sem_post(arg);
    return NULL;
}

int main(int argc, char **argv) {
    seconds = number(argc, argv, 1, 3);
    sem_t *event = malloc(sizeof *event);
    check(event != NULL && sem_init(event, 0, 0) == 0, "sem_init");
    if (fork_or_die() == 0) {
        pthread_t thread;
        start(&thread, poster, event);
        sem_wait(event);
        _exit(0);
    }
    reap();
    return 0;
}

/*
 * A child makes a semaphore of its own, in memory that was not in use at the fork, and sleeps on it
 * for ever, on purpose, until a signal ends it. By its memory the word was 0 at the fork and is 0
 * now; but the semaphore is younger than the fork. The tracer must not say that a lock was inherited:
 * that the child can never go on is true.
 *
 * young_semaphore [SECONDS]
 */
#include "common.h"

static void *stay(void *arg) {
    for (;;) nap(1);
    return arg;
}

int main(int argc, char **argv) {
    pthread_t thread;
    start(&thread, stay, NULL);
    free(malloc(100));
    pid_t child = fork_or_die();
    if (child == 0) {
        sem_t *mine = malloc(sizeof *mine);
        check(mine != NULL && sem_init(mine, 0, 0) == 0, "sem_init");
        fact("stuck", getpid());
        sem_wait(mine);
        _exit(98);
    }
    nap((double)lasts(number(argc, argv, 1, 4)));
    kill(child, SIGTERM);
    reap();
    return 0;
}

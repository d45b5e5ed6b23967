/*
 * A child joins a thread that it does not have. musl's fork leaves the thread's state as it was, so that
 * the child waits for ever.
 *
 * lost_join [SECONDS]
 */
#include "common.h"

static void *stay(void *arg) {
    (void)arg;
    for (;;) nap(1);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t thread;
    wait_until_told();
    start(&thread, stay, NULL);
    nap(0.1);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        pthread_join(thread, NULL);
        _exit(98);
    }
    fact("forker", getpid());
    fact("lost", 1);
    reap();
    _exit(0);
}

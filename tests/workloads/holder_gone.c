/*
 * The thread that holds a mutex ends without releasing it, before the fork or after it; the child
 * locks the mutex and hangs. The tracer must say: inherited-lock, certain, held by that thread.
 *
 * holder_gone before|after [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_long holder;
static atomic_int leave;

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    holder = gettid();
    while (!leave) nap(0.01);
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    int before = !strcmp(argv[1], "before");
    wait_until_told();
    pthread_t thread;
    start(&thread, hold, NULL);
    while (holder == 0) nap(0.01);
    leave = before;
    if (before) pthread_join(thread, NULL);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 2, 6));
        nap(0.2);
        pthread_mutex_lock(&lock);
        _exit(98);
    }
    fact("forker", getpid());
    fact("holder", holder);
    fact("lost", !before);
    leave = 1;
    reap();
    return 0;
}

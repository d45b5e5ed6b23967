/*
 * A lock that a thread of the grandparent held is inherited twice; the grandchild hangs on it.
 * The tracer must say: inherited-lock, certain, in the grandchild, forked by the child, held by the
 * grandparent's thread.
 *
 * inherited_grandchild [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_long holder;

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    holder = gettid();
    for (;;) nap(1);
    return NULL;
}

int main(int argc, char **argv) {
    wait_until_told();
    pthread_t thread;
    start(&thread, hold, NULL);
    while (holder == 0) nap(0.01);
    if (fork_or_die() == 0) {
        if (fork_or_die() == 0) {
            hang_at_most(number(argc, argv, 1, 6));
            pthread_mutex_lock(&lock);
            _exit(98);
        }
        fact("forker", getpid());
        fact("lost", 0);
        reap();
        _exit(0);
    }
    fact("holder", holder);
    reap();
    return 0;
}

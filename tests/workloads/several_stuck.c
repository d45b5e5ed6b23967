/*
 * Several hang at once on mutexes that a thread of the parent held at the fork.
 * The tracer must say of each: inherited-lock, certain, a glibc mutex.
 *
 * several_stuck WHO [SECONDS]
 *   WHO  children: three children on one lock; locks: two children on a lock each;
 *        threads: both threads of one child; crowd: dozens of children on one lock
 */
#include "common.h"

static pthread_mutex_t locks[2] = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER};
static atomic_long holder;

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&locks[0]);
    pthread_mutex_lock(&locks[1]);
    holder = gettid();
    for (;;) nap(1);
    return NULL;
}

static void *hang(void *arg) {
    dprintf(1, "stuck=%d %d\n", getpid(), gettid());
    pthread_mutex_lock(arg);
    _exit(98);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    int several_locks = !strcmp(argv[1], "locks"), threads = !strcmp(argv[1], "threads");
    int children = threads ? 1 : several_locks ? 2 : !strcmp(argv[1], "crowd") ? 48 : 3;
    wait_until_told();
    pthread_t thread;
    start(&thread, hold, NULL);
    while (holder == 0) nap(0.01);
    fact("forker", getpid());
    fact("holder", holder);
    fact("lost", 1);
    for (int child = 0; child < children; child++) {
        if (fork_or_die() != 0) continue;
        alarm((unsigned)number(argc, argv, 2, 6));
        if (threads) start(&thread, hang, &locks[0]);
        hang(&locks[several_locks ? child : 0]);
    }
    reap();
    return 0;
}

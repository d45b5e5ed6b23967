/*
 * A child wants an rwlock that another thread of its parent held at the fork, and hangs.
 * The tracer must say: inherited-lock, certain, a glibc rwlock; the writer's thread as the holder,
 * none for readers, which the lock only counts.
 *
 * inherited_rwlock HELD WANTED [SECONDS], each of them read or write; or
 * inherited_rwlock queued read: the lock lets writers go first, a reader holds it and a writer
 *     waits for it at the fork, so that the child's reader waits behind that writer
 */
#include "common.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static atomic_long holder;

static void take(const char *how) {
    if (!strcmp(how, "write")) {
        pthread_rwlock_wrlock(&lock);
    } else {
        pthread_rwlock_rdlock(&lock);
    }
}

static void *hold(void *arg) {
    take(arg);
    holder = gettid();
    for (;;) nap(1);
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    wait_until_told();
    int queued = !strcmp(argv[1], "queued");
    if (queued) {
        pthread_rwlockattr_t attr;
        pthread_rwlockattr_init(&attr);
        pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
        pthread_rwlock_init(&lock, &attr);
    }
    pthread_t thread;
    start(&thread, hold, queued ? "read" : argv[1]);
    while (holder == 0) nap(0.01);
    if (queued) {
        start(&thread, hold, "write");
        nap(0.2);
    }
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 3, 6));
        take(argv[2]);
        _exit(98);
    }
    fact("forker", getpid());
    fact("lost", 1 + queued);
    if (!strcmp(argv[1], "write")) fact("holder", holder);
    reap();
    return 0;
}

/*
 * The mechanism of https://github.com/krakjoe/apcu/issues/486 (and of 86): the workers of a server share a
 * cache, and its lock is a pthread_rwlock_t in shared memory. A worker is killed (out of memory, or a
 * request that took too long) while it has the lock for writing. From then on each request hangs.
 * The tracer must say: orphaned-lock, of each worker.
 *
 * apcu486 WORKERS [SECONDS]
 */
#include "../common.h"

static pthread_rwlock_t *cache_lock;

static __attribute__((noinline)) void apc_cache_store(void) { pthread_rwlock_wrlock(cache_lock); }

static void share_the_lock(void) {
    pthread_rwlockattr_t attributes;
    cache_lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(cache_lock != MAP_FAILED, "mmap");
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    check(pthread_rwlock_init(cache_lock, &attributes) == 0, "pthread_rwlock_init");
}

int main(int argc, char **argv) {
    share_the_lock();
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 0);
    if (fork_or_die() == 0) {
        apc_cache_store();
        raise(SIGKILL);
    }
    check(wait(NULL) > 0, "wait");
    for (long workers = number(argc, argv, 1, 2); workers > 0; workers--) {
        if (fork_or_die() != 0) continue;
        hang_at_most(number(argc, argv, 2, 6));
        apc_cache_store();
        _exit(98);
    }
    reap();
    return 0;
}

/*
 * A process-shared mutex in shared memory is held at the fork and waited for by the child; the
 * parent releases it after a while. The tracer must say nothing: the child can be woken.
 *
 * shared_mutex [SECONDS] [robust]
 */
#include "common.h"

int main(int argc, char **argv) {
    pthread_mutex_t *lock = mmap(NULL, sizeof *lock, PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(lock != MAP_FAILED, "mmap");
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    if (argc > 2) pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(lock, &attr);
    pthread_mutex_lock(lock);
    if (fork_or_die() == 0) {
        pthread_mutex_lock(lock);
        _exit(0);
    }
    nap(number(argc, argv, 1, 3));
    pthread_mutex_unlock(lock);
    reap();
    return 0;
}

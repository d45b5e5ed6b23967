/*
 * A lock was held at the fork; the child throws its memory away and gets the same addresses again
 * for a lock of its own, which one of its threads keeps for a while and another waits for.
 * The tracer may suspect, and must not say more.
 *
 * reused_memory mutex|semaphore heap|map [SECONDS]
 */
#include "common.h"

static int is_mutex, is_map;
static double seconds;
static void *lock;
static atomic_int held;

static void make(int value) {
    void *old = lock;
    lock = is_map ? mmap(old, 4096, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | (old ? MAP_FIXED : 0), -1, 0)
                  : malloc(sizeof(pthread_mutex_t));
    check(lock != NULL && lock != MAP_FAILED && (old == NULL || lock == old), "the same address");
    if (is_mutex) pthread_mutex_init(lock, NULL);
    if (!is_mutex) sem_init(lock, 0, (unsigned)value);
}

static void take(void) {
    if (is_mutex) pthread_mutex_lock(lock);
    if (!is_mutex) sem_wait(lock);
}

static void release(void) {
    if (is_mutex) pthread_mutex_unlock(lock);
    if (!is_mutex) sem_post(lock);
}

static void *hold(void *arg) {
    (void)arg;
    take();
    held = 1;
    nap(seconds);
    release();
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    is_mutex = !strcmp(argv[1], "mutex");
    is_map = !strcmp(argv[2], "map");
    seconds = (double)number(argc, argv, 3, 3);
    make(1);
    wait_until_told();
    take();
    if (fork_or_die() == 0) {
        /* Written to, so that the page is kept as inherited before it goes. */
        ((volatile char *)lock)[sizeof(pthread_mutex_t) - 1] = 0;
        if (is_map) munmap(lock, 4096);
        if (!is_map) free(lock);
        make(1);
        pthread_t thread;
        start(&thread, hold, NULL);
        while (!held) nap(0.01);
        take();
        _exit(0);
    }
    reap();
    return 0;
}

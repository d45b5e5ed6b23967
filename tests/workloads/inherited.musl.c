/*
 * Built with musl. A child wants a lock of the C library that a thread of its parent held at the
 * fork, and hangs.
 * The tracer must say: inherited-lock, certain; the holder where the lock knows it.
 *
 * inherited LOCK HOLDER [SECONDS]
 *   LOCK    normal | recursive | errorcheck | robust | file | write | read | once
 *   HOLDER  parent, or child: the lock is free at the fork, a thread of the child has it for 3 s,
 *           and the tracer must say nothing
 */
#include "common.h"

static const char *lock;
static pthread_mutex_t mutex;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static FILE *file;
static atomic_long holder;

static int is(const char *name) { return !strcmp(lock, name); }

static void init(void) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    if (is("recursive")) pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    if (is("errorcheck")) pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    if (is("robust")) pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&mutex, &attr);
    file = fopen("/dev/null", "w");
    check(file != NULL, "fopen");
}

static double seconds = 1000;

static void stay(void) {
    holder = gettid();
    nap(seconds);
}

static void take(int wanted) {
    if (is("file")) {
        flockfile(file);
    } else if (is("once")) {
        pthread_once(&once, stay);
    } else if (is("read") && !wanted) {
        pthread_rwlock_rdlock(&rwlock);
    } else if (is("write") || is("read")) {
        pthread_rwlock_wrlock(&rwlock);
    } else {
        pthread_mutex_lock(&mutex);
    }
}

static void *hold(void *arg) {
    (void)arg;
    take(0);
    if (!is("once")) stay();
    if (is("file")) {
        funlockfile(file);
    } else if (is("read") || is("write")) {
        pthread_rwlock_unlock(&rwlock);
    } else if (!is("once")) {
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    lock = argv[1];
    int by_parent = !strcmp(argv[2], "parent");
    init();
    wait_until_told();
    pthread_t thread;
    if (by_parent) {
        start(&thread, hold, NULL);
        while (holder == 0) nap(0.01);
    }
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 3, 6));
        if (!by_parent) {
            seconds = 3;
            start(&thread, hold, NULL);
            while (holder == 0) nap(0.01);
        }
        take(1);
        _exit(98);
    }
    fact("forker", getpid());
    fact("lost", by_parent);
    fact("holder", holder);
    reap();
    /* Not exit(): it would flush the file, whose lock is held. */
    _exit(0);
}

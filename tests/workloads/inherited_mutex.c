/*
 * A child locks a mutex that was held when it was forked, and hangs.
 * The tracer must say: inherited-lock, certain, a glibc mutex, held by the thread named as holder.
 *
 * inherited_mutex KIND HOLDER AFTER CHILD [SECONDS]
 *   KIND    normal | recursive | errorcheck | adaptive; each of them also with -robust, or with
 *           -shared: the process-shared attribute, in memory that is private all the same
 *   HOLDER  thread: another thread of the parent holds it; forker: the forking thread does
 *   AFTER   keep | release | die: what the parent does right after the fork
 *   CHILD   single | threads: whether the child has a second thread that is alive
 */
#include "common.h"

static pthread_mutex_t lock;
static atomic_long holder;
static int release_pipe[2];

static void init_lock(const char *kind) {
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    int type = !strncmp(kind, "recursive", 9)     ? PTHREAD_MUTEX_RECURSIVE
               : !strncmp(kind, "errorcheck", 10) ? PTHREAD_MUTEX_ERRORCHECK
               : !strncmp(kind, "adaptive", 8)    ? PTHREAD_MUTEX_ADAPTIVE_NP
                                                  : PTHREAD_MUTEX_NORMAL;
    pthread_mutexattr_settype(&attr, type);
    if (strstr(kind, "-robust")) pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    if (strstr(kind, "-shared")) pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&lock, &attr);
}

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    holder = gettid();
    char byte;
    while (read(release_pipe[0], &byte, 1) < 0) {
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void *live(void *arg) {
    (void)arg;
    for (;;) nap(0.1);
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 5, "usage");
    int by_thread = !strcmp(argv[2], "thread");
    const char *after = argv[3];
    wait_until_told();
    init_lock(argv[1]);
    check(pipe(release_pipe) == 0, "pipe");
    pthread_t thread;
    if (by_thread) {
        start(&thread, hold, NULL);
        while (holder == 0) nap(0.01);
    } else {
        pthread_mutex_lock(&lock);
        holder = gettid();
    }
    pid_t parent = getpid();
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 5, 6));
        if (!strcmp(argv[4], "threads")) start(&thread, live, NULL);
        /* Late on purpose: by now the parent has released the lock, or is dead. */
        nap(0.2);
        while (!strcmp(after, "die") && getppid() == parent) nap(0.01);
        pthread_mutex_lock(&lock);
        _exit(98);
    }
    fact("forker", getpid());
    fact("holder", holder);
    fact("lost", by_thread);
    if (!strcmp(after, "die")) _exit(0);
    if (!strcmp(after, "release")) {
        if (by_thread) {
            check(write(release_pipe[1], "", 1) == 1, "write");
        } else {
            pthread_mutex_unlock(&lock);
        }
    }
    reap();
    return 0;
}

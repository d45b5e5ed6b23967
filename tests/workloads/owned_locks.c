/*
 * Threads of a forked child wait for locks that name their owners, while another thread of it lives on: it
 * sleeps and wakes.
 *
 * owned_locks HOW [SECONDS]
 *   abba          each of two threads has the mutex that the other one waits for
 *   recursive     the same with recursive mutexes
 *   join          the first thread joins one that waits for a mutex of the first one
 *   joins         two threads join each other
 * Every wait ends after SECONDS:
 *   late          the first thread waits for a mutex of one that sleeps
 *   late-join     it joins a thread that sleeps
 *   late-cond     it waits for a mutex of a thread that waits for the signal of one that sleeps
 *   late-chain    it joins a thread that waits for a mutex of one that sleeps
 */
#include "common.h"

static pthread_mutex_t locks[2];
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t of_cond = PTHREAD_MUTEX_INITIALIZER;
static int is_told;
static pthread_barrier_t both;
static pthread_t threads[2];
static double seconds;

static pthread_t started(void *(*run)(void *), long at) {
    pthread_t thread;
    start(&thread, run, (void *)at);
    return thread;
}

static void *beats(void *arg) {
    (void)arg;
    for (;;) nap(0.5);
    return NULL;
}

/* Takes its own mutex, then that of the other one. */
static void *crosses(void *arg) {
    long own = (long)arg;
    dprintf(1, "also=%d %d\n", getpid(), gettid());
    pthread_mutex_lock(&locks[own]);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(&locks[!own]);
    pthread_mutex_unlock(&locks[!own]);
    pthread_mutex_unlock(&locks[own]);
    return NULL;
}

static void *joins(void *arg) {
    dprintf(1, "also=%d %d\n", getpid(), gettid());
    pthread_barrier_wait(&both);
    pthread_join(threads[!(long)arg], NULL);
    return NULL;
}

static void *takes(void *arg) {
    dprintf(1, "also=%d %d\n", getpid(), gettid());
    pthread_mutex_lock(&locks[(long)arg]);
    pthread_mutex_unlock(&locks[(long)arg]);
    return NULL;
}

static void *sleeps(void *arg) {
    pthread_mutex_lock(&locks[(long)arg]);
    pthread_barrier_wait(&both);
    nap(seconds);
    pthread_mutex_unlock(&locks[(long)arg]);
    return NULL;
}

static void *rests(void *arg) {
    pthread_mutex_lock(&locks[(long)arg]);
    pthread_barrier_wait(&both);
    pthread_mutex_lock(&of_cond);
    while (!is_told) pthread_cond_wait(&told, &of_cond);
    pthread_mutex_unlock(&of_cond);
    pthread_mutex_unlock(&locks[(long)arg]);
    return NULL;
}

static void *tells(void *arg) {
    (void)arg;
    nap(seconds);
    pthread_mutex_lock(&of_cond);
    is_told = 1;
    pthread_cond_signal(&told);
    pthread_mutex_unlock(&of_cond);
    return NULL;
}

static void child(const char *how) {
    if (strncmp(how, "late", 4)) {
        hang_at_most((long)seconds);
    } else {
        fact("born", getpid());
    }
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, strcmp(how, "recursive") ? PTHREAD_MUTEX_NORMAL : PTHREAD_MUTEX_RECURSIVE);
    for (int at = 0; at < 2; at++) pthread_mutex_init(&locks[at], &kind);
    pthread_barrier_init(&both, NULL, 2);
    started(beats, 0);
    if (!strcmp(how, "abba") || !strcmp(how, "recursive")) {
        for (long at = 0; at < 2; at++) threads[at] = started(crosses, at);
        for (int at = 0; at < 2; at++) pthread_join(threads[at], NULL);
    } else if (!strcmp(how, "join")) {
        pthread_mutex_lock(&locks[0]);
        pthread_join(started(takes, 0), NULL);
    } else if (!strcmp(how, "joins")) {
        pthread_barrier_destroy(&both);
        pthread_barrier_init(&both, NULL, 3);
        for (long at = 0; at < 2; at++) threads[at] = started(joins, at);
        pthread_barrier_wait(&both);
        for (;;) nap(0.5);
    } else {
        int rest = !strcmp(how, "late-cond");
        pthread_t owner = started(rest ? rests : sleeps, 0);
        pthread_barrier_wait(&both);
        if (rest) started(tells, 0);
        if (!strcmp(how, "late-join")) pthread_join(owner, NULL);
        if (!strcmp(how, "late-chain")) pthread_join(started(takes, 0), NULL);
        takes(0);
    }
    _exit(0);
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "abba";
    seconds = (double)number(argc, argv, 2, 6);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 0);
    if (fork_or_die() == 0) child(how);
    reap();
    return 0;
}

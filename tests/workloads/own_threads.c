/*
 * The threads of a forked child wait for each other in this or that way, as in any program; every
 * wait ends after a while. The tracer must say nothing.
 *
 * own_threads WAY [SECONDS [namespace]]
 *   WAY  join: for a thread's end; barrier: the last comes late; condition: a signal comes late;
 *        pool: workers at rest, the main thread too, until a signal is sent to it; once: a slow
 *        initialisation; mutex: a long holder; rwlock: a long reader; turns: one mutex, a queue
 *   With namespace the child is in a new pid namespace, where threads have other numbers.
 */
#include "common.h"
#include <sched.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_barrier_t barrier;
static atomic_int held;
static int ready;
static const char *way;
static double seconds;

static int is(const char *name) { return !strcmp(way, name); }

static void initialise(void) {
    held = 1;
    nap(seconds);
}

static void hold_mutex(double how_long) {
    pthread_mutex_lock(&lock);
    held = 1;
    nap(how_long);
    pthread_mutex_unlock(&lock);
}

static void *work(void *arg) {
    (void)arg;
    if (is("once")) pthread_once(&once, initialise);
    if (is("mutex")) hold_mutex(seconds);
    if (is("turns")) hold_mutex(seconds / 3);
    if (is("rwlock")) {
        pthread_rwlock_rdlock(&rwlock);
        held = 1;
        nap(seconds);
        pthread_rwlock_unlock(&rwlock);
    }
    if (is("pool") || is("condition")) {
        pthread_mutex_lock(&lock);
        held = 1;
        while (!ready) pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
    }
    if (is("join")) nap(seconds);
    if (is("barrier")) pthread_barrier_wait(&barrier);
    held = 1;
    return NULL;
}

static void take_part(void) {
    sigset_t wake;
    sigemptyset(&wake);
    sigaddset(&wake, SIGUSR1);
    sigprocmask(SIG_BLOCK, &wake, NULL);
    pthread_barrier_init(&barrier, NULL, 4);
    pthread_t threads[3];
    for (int at = 0; at < 3; at++) start(&threads[at], work, NULL);
    int signal;
    if (is("pool")) sigwait(&wake, &signal);
    if (is("condition") || is("barrier")) nap(seconds);
    if (is("pool") || is("condition")) {
        pthread_mutex_lock(&lock);
        ready = 1;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
    }
    if (is("barrier")) pthread_barrier_wait(&barrier);
    while (!is("join") && !held) nap(0.01);
    if (is("once")) pthread_once(&once, initialise);
    if (is("mutex") || is("turns")) hold_mutex(0);
    if (is("rwlock")) pthread_rwlock_wrlock(&rwlock);
    if (is("rwlock")) pthread_rwlock_unlock(&rwlock);
    for (int at = 0; at < 3; at++) pthread_join(threads[at], NULL);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    way = argv[1];
    seconds = (double)number(argc, argv, 2, 3);
    wait_until_told();
    if (argc > 3) check(unshare(CLONE_NEWPID) == 0, "unshare");
    pid_t child = fork_or_die();
    if (child == 0) {
        take_part();
        _exit(0);
    }
    nap(seconds);
    if (is("pool")) kill(child, SIGUSR1);
    reap();
    return 0;
}

/*
 * A thread of the parent holds a mutex at the fork. The child wants it where nobody thinks of it,
 * and hangs. The tracer must say: inherited-lock, certain, a glibc mutex.
 *
 * stuck_late WHERE [SECONDS]
 *   WHERE  atexit: while it exits; signal: in a signal handler; atfork: in the child's handler of
 *          fork(), before fork() returns; key: in the destructor of a thread's value
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_long holder;
static long seconds;

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    holder = gettid();
    for (;;) nap(1);
    return NULL;
}

static void take(void) {
    dprintf(1, "stuck=%d %d\n", getpid(), gettid());
    alarm((unsigned)seconds);
    pthread_mutex_lock(&lock);
    _exit(98);
}

static void take_in_handler(int signal) {
    (void)signal;
    take();
}

static void take_value(void *value) {
    (void)value;
    take();
}

static void *set_value(void *key) {
    pthread_setspecific(*(pthread_key_t *)key, key);
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    seconds = number(argc, argv, 2, 6);
    const char *where = argv[1];
    if (!strcmp(where, "atfork")) pthread_atfork(NULL, NULL, take);
    wait_until_told();
    pthread_t thread;
    start(&thread, hold, NULL);
    while (holder == 0) nap(0.01);
    fact("forker", getpid());
    fact("holder", holder);
    fact("lost", 1);
    if (fork_or_die() == 0) {
        if (!strcmp(where, "atexit")) {
            atexit(take);
            exit(0);
        }
        if (!strcmp(where, "signal")) {
            signal(SIGUSR1, take_in_handler);
            raise(SIGUSR1);
        }
        pthread_key_t key;
        pthread_key_create(&key, take_value);
        start(&thread, set_value, &key);
        pthread_join(thread, NULL);
        _exit(98);
    }
    reap();
    return 0;
}

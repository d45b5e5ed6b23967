/*
 * A child hangs on a mutex. Who waits, who forked and who holds the lock are functions with names.
 * The tracer must say: inherited-lock, certain, with these functions in the stacks, and with the
 * marked lines where this was compiled with -g.
 *
 * stacks [unlink]
 *   unlink  the program's own file is gone by the time of the hang
 */
#include "common.h"

#define NAMED static __attribute__((noinline, noclone))

pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_long holder;
/* Written after each call, so that no function's last act is a jump to another. */
static volatile int returned;

NAMED void sit_on_lock(void) {
    pause(); /* holds here */
    returned++;
}

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&cache_lock);
    holder = gettid();
    for (;;) sit_on_lock();
    return NULL;
}

NAMED void take_lock(void) {
    pthread_mutex_lock(&cache_lock); /* hangs here */
    returned++;
}

NAMED void serve(void) {
    take_lock(); /* calls here */
    returned++;
}

NAMED pid_t spawn_worker(void) {
    pid_t pid = fork(); /* forks here */
    check(pid >= 0, "fork");
    returned++;
    return pid;
}

int main(int argc, char **argv) {
    if (argc > 1) check(unlink(argv[0]) == 0, "unlink");
    pthread_t thread;
    start(&thread, hold, NULL);
    while (holder == 0) nap(0.01);
    if (spawn_worker() == 0) {
        hang_at_most(6);
        serve();
        _exit(98);
    }
    fact("forker", getpid());
    fact("holder", holder);
    fact("lost", 1);
    reap();
    return 0;
}

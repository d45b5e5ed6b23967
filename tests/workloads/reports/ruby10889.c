/*
 * The mechanism of https://github.com/ruby/ruby/pull/10889: a runtime has a lock over its scheduler,
 * which a thread of it takes for an instant, again and again. fork() falls into such an instant. By
 * the time that anybody looks, the lock is free in the parent and the thread elsewhere, and in the
 * child it stays locked.
 * The tracer must say: inherited-lock, certain, and that the holder has released it since.
 *
 * ruby10889 [SECONDS]
 */
#include "../common.h"

static struct {
    pthread_mutex_t sched_lock;
    int running;
} vm = {.sched_lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_long timer;
static atomic_int inside, forked;

static void *timer_thread(void *arg) {
    (void)arg;
    pthread_setname_np(pthread_self(), "timer");
    timer = gettid();
    for (;;) {
        pthread_mutex_lock(&vm.sched_lock);
        vm.running++;
        inside = 1;
        /* Stays inside until the fork is done: otherwise it would take luck to hit the instant. */
        while (!forked) nap(0.001);
        pthread_mutex_unlock(&vm.sched_lock);
        nap(0.01);
    }
    return NULL;
}

static __attribute__((noinline)) void sched_add_running_thread(void) {
    pthread_mutex_lock(&vm.sched_lock);
    vm.running++;
    pthread_mutex_unlock(&vm.sched_lock);
}

static __attribute__((noinline)) void run_child(void) {
    sched_add_running_thread();
    _exit(98);
}

int main(int argc, char **argv) {
    wait_until_told();
    pthread_t thread;
    start(&thread, timer_thread, NULL);
    while (!inside) nap(0.001);
    fact("forker", getpid());
    fact("holder", timer);
    fact("lost", 1);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        run_child();
    }
    forked = 1;
    reap();
    return 0;
}

/*
 * The mechanism of https://github.com/pytorch/pytorch/issues/75147: a library keeps a pool of
 * threads, each with a mutex around its going to sleep. One is just doing that when a data loader is
 * forked. The child sets the number of threads, and the library locks the mutex of a thread that the
 * child does not have.
 * The tracer must say: inherited-lock, certain, and that the holder is the thread of the pool.
 *
 * pytorch75147 [SECONDS]
 */
#include "../common.h"

struct pool_thread {
    pthread_mutex_t suspend;
    pthread_t thread;
    atomic_long tid;
};

static struct pool_thread pool[2];
static atomic_int forked;

static void *pool_thread(void *arg) {
    struct pool_thread *self = arg;
    pthread_setname_np(pthread_self(), "pool-worker");
    pthread_mutex_lock(&self->suspend);
    self->tid = gettid();
    while (!forked) nap(0.005);
    pthread_mutex_unlock(&self->suspend);
    for (;;) nap(1);
    return NULL;
}

static void start_pool(void) {
    for (int i = 0; i < 2; i++) {
        pthread_mutex_init(&pool[i].suspend, NULL);
        start(&pool[i].thread, pool_thread, &pool[i]);
        while (pool[i].tid == 0) nap(0.01);
    }
}

static __attribute__((noinline)) void free_thread(struct pool_thread *other) {
    pthread_mutex_lock(&other->suspend);
    pthread_mutex_unlock(&other->suspend);
}

static __attribute__((noinline)) void set_num_threads(int n) {
    for (int i = n; i < 2; i++) free_thread(&pool[i]);
}

static __attribute__((noinline)) void loader_worker(void) {
    set_num_threads(1);
    _exit(98);
}

int main(int argc, char **argv) {
    wait_until_told();
    start_pool();
    fact("forker", getpid());
    fact("holder", pool[1].tid);
    fact("lost", 2);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        loader_worker();
    }
    forked = 1;
    reap();
    return 0;
}

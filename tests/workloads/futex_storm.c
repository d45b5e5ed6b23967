/*
 * Hundreds of threads fight for one lock in a parent and in its child, which was forked before
 * they started. The tracer must say nothing and lose nothing.
 *
 * futex_storm [THREADS] [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int over;
static volatile long counter;

static void *fight(void *arg) {
    (void)arg;
    while (!over) {
        pthread_mutex_lock(&lock);
        counter++;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int main(int argc, char **argv) {
    long count = number(argc, argv, 1, 500);
    pid_t child = fork_or_die();
    pthread_t *threads = calloc((size_t)count, sizeof *threads);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    for (long i = 0; i < count; i++) {
        errno = pthread_create(&threads[i], &small, fight, NULL);
        check(errno == 0, "pthread_create");
    }
    nap(number(argc, argv, 2, 2));
    over = 1;
    for (long i = 0; i < count; i++) pthread_join(threads[i], NULL);
    if (child == 0) _exit(0);
    fact("born", child);
    fact("threads", 2 * count);
    reap();
    return 0;
}

/*
 * No fork at all: threads wait for seconds for a lock that another one holds. The tracer must say
 * nothing.
 *
 * threads_only [SECONDS]
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *want(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[4];
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 4; i++) start(&threads[i], want, NULL);
    nap(number(argc, argv, 1, 3));
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    return 0;
}

/*
 * A healthy child: threads that it started itself rest until there is work, and the main thread, which
 * could wake them, sleeps. The condition they wait for did not exist at the fork.
 *
 * rested_pool WHERE HOW [SECONDS]
 *   WHERE   heap: one condition for three threads; stack: a condition on the stack of one thread
 *   HOW     join: the threads are told to end, and joined; exit: the process ends while they rest
 */
#include "common.h"

struct rest {
    pthread_mutex_t lock;
    pthread_cond_t work;
    int over;
};

static struct rest *_Atomic published;

static void rest(struct rest *place) {
    pthread_mutex_lock(&place->lock);
    while (!place->over) pthread_cond_wait(&place->work, &place->lock);
    pthread_mutex_unlock(&place->lock);
}

static struct rest *made(struct rest *place) {
    place->over = 0;
    pthread_mutex_init(&place->lock, NULL);
    pthread_cond_init(&place->work, NULL);
    return place;
}

static void *on_heap(void *place) {
    rest((struct rest *)place);
    return NULL;
}

static void *on_stack(void *arg) {
    struct rest place;
    published = made(&place);
    rest(&place);
    return arg;
}

static void child(int heap, int joins, long seconds) {
    pthread_t threads[3];
    int count = heap ? 3 : 1;
    if (heap) published = made((struct rest *)malloc(sizeof(struct rest)));
    for (int i = 0; i < count; i++) {
        start(&threads[i], heap ? on_heap : on_stack, heap ? (void *)published : NULL);
    }
    fact("rests", getpid());
    nap((double)seconds);
    if (!joins) _exit(0);
    struct rest *place = published;
    pthread_mutex_lock(&place->lock);
    place->over = 1;
    pthread_cond_broadcast(&place->work);
    pthread_mutex_unlock(&place->lock);
    for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
    _exit(0);
}

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    if (fork_or_die() == 0) {
        child(strcmp(argv[1], "heap") == 0, strcmp(argv[2], "join") == 0, number(argc, argv, 3, 4));
    }
    reap();
    return 0;
}

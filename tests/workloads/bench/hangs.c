/*
 * Children that hang one after another, each on a mutex of its own that another thread of the
 * parent has; they are ended together.
 *
 * hangs [COUNT] [MILLISECONDS BETWEEN TWO]
 */
#include "../common.h"

#define MOST 1000

static pthread_mutex_t locks[MOST];
static atomic_int held;

static void *hold(void *arg) {
    for (int i = 0; i < MOST; i++) pthread_mutex_lock(&locks[i]);
    held = 1;
    for (;;) pause();
    return arg;
}

int main(int argc, char **argv) {
    long count = number(argc, argv, 1, 50), apart = number(argc, argv, 2, 137);
    static pid_t pids[MOST];
    pthread_t holder;
    check(count <= MOST, "so many");
    for (int i = 0; i < MOST; i++) pthread_mutex_init(&locks[i], NULL);
    start(&holder, hold, NULL);
    while (!held) nap(0.001);
    for (long i = 0; i < count; i++) {
        pids[i] = fork_or_die();
        if (pids[i] == 0) {
            hang_at_most(apart * count / 1000 + 60);
            pthread_mutex_lock(&locks[i]);
            _exit(0);
        }
        nap((double)apart / 1000);
    }
    nap(3);
    for (long i = 0; i < count; i++) kill(pids[i], SIGKILL);
    reap();
    return 0;
}

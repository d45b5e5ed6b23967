/*
 * A lock is held at the fork, but the child executes a program. In that program a lock at the very
 * same address (addresses are not randomised here) is waited for, rightly. The tracer must say
 * nothing: the memory that was inherited is gone.
 *
 * exec_child [SECONDS]
 */
#include "common.h"
#include <sys/personality.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int held;
static long seconds;

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    held = 1;
    nap(seconds);
    pthread_mutex_unlock(&lock);
    return NULL;
}

static void become(char *name, char *seconds_text, char *role) {
    execv("/proc/self/exe", (char *[]){name, seconds_text, role, NULL});
    check(0, "execv");
}

int main(int argc, char **argv) {
    seconds = number(argc, argv, 1, 3);
    char *text = argc > 1 ? argv[1] : "3";
    if (argc < 3) {
        personality(ADDR_NO_RANDOMIZE);
        become(argv[0], text, "fork");
    }
    if (!strcmp(argv[2], "fork")) {
        pthread_mutex_lock(&lock);
        if (fork_or_die() == 0) become(argv[0], text, "wait");
        reap();
        return 0;
    }
    pthread_t thread;
    start(&thread, hold, NULL);
    while (!held) nap(0.01);
    pthread_mutex_lock(&lock);
    return 0;
}

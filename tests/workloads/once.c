/*
 * A thread of the parent is inside of pthread_once at the fork. glibc notices that the process is
 * another one, and the child runs the function itself. The tracer must say nothing.
 */
#include "common.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static atomic_int running;
static pid_t parent;

static void run(void) {
    running = 1;
    while (getpid() == parent) nap(0.1);
}

static void *begin(void *arg) {
    pthread_once(&once, run);
    return arg;
}

int main(void) {
    parent = getpid();
    pthread_t thread;
    start(&thread, begin, NULL);
    while (!running) nap(0.01);
    if (fork_or_die() == 0) {
        alarm(6);
        pthread_once(&once, run);
        nap(2);
        _exit(0);
    }
    int status;
    check(wait(&status) > 0 && WIFEXITED(status), "the child ran the function");
    _exit(0);
}

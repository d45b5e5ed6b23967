/*
 * A thread of the parent has locked a FILE at the fork; glibc's fork unlocks it in the child, which
 * writes to it. The tracer must say nothing.
 */
#include "common.h"

static FILE *file;
static atomic_int held;

static void *hold(void *arg) {
    flockfile(file);
    held = 1;
    for (;;) nap(1);
    return arg;
}

int main(void) {
    file = fopen("/dev/null", "w");
    check(file != NULL, "fopen");
    pthread_t thread;
    start(&thread, hold, NULL);
    while (!held) nap(0.01);
    if (fork_or_die() == 0) {
        alarm(6);
        fputs("text", file);
        nap(2);
        _exit(0);
    }
    int status;
    check(wait(&status) > 0 && WIFEXITED(status), "the child wrote");
    /* Not exit(): it would flush the file, whose lock is held. */
    _exit(0);
}

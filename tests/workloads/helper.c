/*
 * Another process in the child's own memory (CLONE_VM) releases the lock that was inherited held.
 * The tracer may suspect, and must not say more.
 *
 * helper [SECONDS]
 */
#include "common.h"
#include <sched.h>

/* No mutex: glibc wakes nobody in a process that it takes for single-threaded. */
static sem_t *lock;
static double seconds;
static _Alignas(16) char stack[1 << 16];

static int help(void *arg) {
    (void)arg;
    nap(seconds);
    sem_post(lock);
    return 0;
}

int main(int argc, char **argv) {
    seconds = (double)number(argc, argv, 1, 3);
    lock = malloc(sizeof *lock);
    check(lock != NULL && sem_init(lock, 0, 1) == 0, "sem_init");
    wait_until_told();
    sem_wait(lock);
    if (fork_or_die() == 0) {
        check(clone(help, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL) > 0, "clone");
        sem_wait(lock);
        reap();
        _exit(0);
    }
    reap();
    return 0;
}

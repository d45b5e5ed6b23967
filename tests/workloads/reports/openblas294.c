/*
 * The mechanism of https://github.com/OpenMathLib/OpenBLAS/issues/294 (and of 240): the library has
 * threads for parts of a matrix. A forked child gives them a part each and yields the CPU until they are
 * done, for ever. (The library has a fork handler since 2014.)
 * The tracer must say: at least that the child is busy since its fork.
 *
 * openblas294 [SECONDS]
 */
#include "../common.h"
#include <sched.h>

static atomic_int queued;

static void *blas_thread(void *arg) {
    for (;;) {
        if (queued) queued = 0;
        sched_yield();
        nap(0.001);
    }
    return arg;
}

static __attribute__((noinline)) void exec_blas(void) {
    queued = 1;
    while (queued) sched_yield();
}

int main(int argc, char **argv) {
    pthread_t thread;
    start(&thread, blas_thread, NULL);
    exec_blas();
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 1);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        exec_blas();
        _exit(98);
    }
    reap();
    return 0;
}

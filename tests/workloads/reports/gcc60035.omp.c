/*
 * The mechanism of https://gcc.gnu.org/bugzilla/show_bug.cgi?id=60035: a library for matrices uses
 * OpenMP inside, and the program does not know. The parent multiplies, so that GCC's libgomp keeps a
 * team of threads; the child multiplies too, and libgomp waits for the team, which the child does
 * not have.
 * The tracer must say: lost-waker, likely, inside of libgomp.
 *
 * gcc60035 [SECONDS]
 */
#include "../common.h"

enum { N = 64 };
static double a[N][N], b[N][N], c[N][N];

static __attribute__((noinline)) void dgemm(void) {
#pragma omp parallel for num_threads(4)
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++) c[i][j] += a[i][k] * b[k][j];
}

static __attribute__((noinline)) void worker(void) {
    dgemm();
    _exit(98);
}

int main(int argc, char **argv) {
    wait_until_told();
    dgemm();
    fact("forker", getpid());
    fact("lost", 3);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        worker();
    }
    reap();
    return 0;
}

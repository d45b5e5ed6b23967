/*
 * The parent has used OpenMP, so that it has a team of threads; the child, which has none of them,
 * uses it too, and waits for the team.
 * The tracer must say: lost-waker, likely.
 *
 * lost_team [SECONDS]
 */
#include "common.h"

static int work(void) {
    int sum = 0;
#pragma omp parallel for reduction(+ : sum) num_threads(4)
    for (int i = 0; i < 1000; i++) sum += i;
    return sum;
}

int main(int argc, char **argv) {
    wait_until_told();
    check(work() == 499500, "work");
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        work();
        _exit(98);
    }
    fact("forker", getpid());
    fact("lost", 3);
    reap();
    return 0;
}

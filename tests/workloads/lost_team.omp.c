/*
 * The parent has used OpenMP, so that it has a team of threads; the child, which has none of them,
 * uses it too, and waits for the team.
 * The tracer must say: lost-waker, likely.
 *
 * lost_team USER [SECONDS]
 *   USER  parent, or child: the parent has not used it, so that the child has a team of its own,
 *         which then is idle, and the tracer must say nothing
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
    check(argc >= 2, "usage");
    int by_parent = !strcmp(argv[1], "parent");
    if (by_parent) check(work() == 499500, "work");
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 2, 6));
        check(work() == 499500, "work");
        nap(3);
        _exit(98);
    }
    fact("forker", getpid());
    fact("lost", 3 * by_parent);
    reap();
    return 0;
}

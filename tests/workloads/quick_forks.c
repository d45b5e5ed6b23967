/*
 * Many children that end at once, up to 32 at a time. The tracer must lose no event: the sum of all
 * children's numbers is given, so that none can be missing or doubled unseen.
 *
 * quick_forks [COUNT]
 */
#include "common.h"

int main(int argc, char **argv) {
    long count = number(argc, argv, 1, 10000), sum = 0, alive = 0;
    for (long i = 0; i < count; i++) {
        pid_t pid = fork_or_die();
        if (pid == 0) _exit(0);
        sum += pid;
        if (++alive == 32) {
            reap();
            alive = 0;
        }
    }
    reap();
    fact("forks", count);
    fact("pidsum", sum);
    return 0;
}

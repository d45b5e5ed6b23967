/*
 * A child that waits for nothing is killed by a signal. The tracer must say nothing, and show its
 * end.
 *
 * killed [SECONDS]
 */
#include "common.h"

int main(int argc, char **argv) {
    pid_t pid = fork_or_die();
    if (pid == 0) {
        for (;;) pause();
    }
    fact("born", pid);
    nap(number(argc, argv, 1, 2));
    kill(pid, SIGKILL);
    reap();
    return 0;
}

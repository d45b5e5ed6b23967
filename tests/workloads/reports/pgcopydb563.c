/*
 * The mechanism of https://github.com/dimitri/pgcopydb/pull/563: a process makes a pipe between two of
 * its children and keeps both ends open itself. One child writes and ends. The other reads until the
 * end of the pipe, which it never sees, and looks every 50 ms whether there is more, while its parent
 * waits for it.
 * The tracer must say: held-open, the descriptor in the parent; it polls.
 *
 * pgcopydb563 [SECONDS]
 */
#include "../common.h"
#include <sys/select.h>

static void transform(int from) {
    char line[256];
    for (;;) {
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(from, &readable);
        struct timeval soon = {0, 50000};
        if (select(from + 1, &readable, NULL, NULL, &soon) > 0 && read(from, line, sizeof line) == 0)
            return;
    }
}

int main(int argc, char **argv) {
    int ends[2];
    check(pipe(ends) == 0, "pipe");
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 0);
    if (fork_or_die() == 0) {
        close(ends[0]);
        check(write(ends[1], "a change\n", 9) == 9, "write");
        _exit(0);
    }
    if (fork_or_die() == 0) {
        close(ends[1]);
        hang_at_most(number(argc, argv, 1, 16));
        transform(ends[0]);
        _exit(98);
    }
    reap();
    return 0;
}

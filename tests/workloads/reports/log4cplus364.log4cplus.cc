/*
 * The mechanism of https://github.com/log4cplus/log4cplus/pull/364, with log4cplus itself: the library
 * starts a pool of threads. A forked child ends, and a destructor waits until the pool's threads have
 * left.
 * The tracer must say: lost-waker.
 *
 * log4cplus364 [SECONDS]
 */
#include "../common.h"
#include <log4cplus/log4cplus.h>

int main(int argc, char **argv) {
    log4cplus::Initializer initializer;
    wait_until_told();
    fact("forker", getpid());
    fact("lost", other_threads());
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        exit(98);
    }
    reap();
    _exit(0);
}

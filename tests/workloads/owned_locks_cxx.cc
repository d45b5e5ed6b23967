/*
 * Two std::threads of a forked child, each of which takes a std::mutex and then that of the other one; the
 * first thread of the child sleeps and wakes.
 *
 * owned_locks_cxx HOW [SECONDS]
 *   abba  they wait for each other
 *   late  they take the mutexes in the same order, and who has them keeps them for SECONDS
 */
#include "common.h"
#include <mutex>
#include <thread>

static std::mutex first, second;

static void takes(std::mutex &own, std::mutex &other, double wait, double keep) {
    dprintf(1, "also=%d %d\n", getpid(), gettid());
    std::lock_guard<std::mutex> has(own);
    nap(wait);
    std::lock_guard<std::mutex> both(other);
    nap(keep);
}

int main(int argc, char **argv) {
    double seconds = (double)number(argc, argv, 2, 6);
    int hangs = argc < 2 || !strcmp(argv[1], "abba");
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 0);
    if (fork_or_die() == 0) {
        if (hangs) {
            hang_at_most((long)seconds);
        } else {
            fact("born", getpid());
        }
        std::thread one(takes, std::ref(first), std::ref(second), 0.3, hangs ? 0 : seconds);
        std::thread two([&] {
            nap(hangs ? 0 : 0.5);
            hangs ? takes(second, first, 0.3, 0) : takes(first, second, 0, 0);
        });
        for (int beat = 0; hangs || beat < 2 * (int)seconds + 2; beat++) nap(0.5);
        one.join();
        two.join();
        _exit(0);
    }
    reap();
    return 0;
}

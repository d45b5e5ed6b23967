/*
 * The mechanism of https://github.com/PX4/PX4-Autopilot/pull/20802, r-lib/later#10 and ruby/ruby#13591: a
 * condition variable is a static object, and a thread waits on it at the fork. The child ends with exit().
 * The destructor is in pthread_cond_destroy(), which waits until the waiting thread has left; the child
 * does not have that thread.
 * The tracer must say: lost-waker.
 *
 * px4_20802 [SECONDS]
 */
#include "../common.h"
#include <condition_variable>
#include <mutex>
#include <thread>

namespace {
struct Scheduler {
    std::mutex mutex;
    std::condition_variable tick;

    void run() {
        std::unique_lock<std::mutex> lock(mutex);
        for (;;) tick.wait(lock);
    }
};
Scheduler scheduler;
} // namespace

int main(int argc, char **argv) {
    std::thread([] { scheduler.run(); }).detach();
    nap(0.2);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 1);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        exit(98);
    }
    reap();
    _exit(0);
}

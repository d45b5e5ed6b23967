/*
 * A child hands work to a thread of its parent, which it does not have. Nothing hangs.
 *
 * handed_over_cxx HOW [SECONDS]
 *   pool          tasks of a thread pool, by std::condition_variable
 *   any           std::condition_variable_any
 *   semaphore     std::counting_semaphore
 *   atomic        std::atomic, waited for and notified
 * Nothing is lost:
 *   idle          the child does not use the pool
 *   own           the child makes a pool of its own
 *   released      std::binary_semaphore as a lock, which the child releases and takes again
 */
#include "common.h"
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

static std::string how;

class Pool {
  public:
    explicit Pool(int threads) {
        for (int at = 0; at < threads; at++) std::thread([this] { work(); }).detach();
    }
    void submit(std::function<void()> task) {
        {
            std::lock_guard<std::mutex> held(lock);
            tasks.push_back(std::move(task));
        }
        if (how == "any") any.notify_one();
        else cond.notify_one();
    }

  private:
    void work() {
        for (;;) {
            std::unique_lock<std::mutex> held(lock);
            auto ready = [this] { return !tasks.empty(); };
            if (how == "any") any.wait(held, ready);
            else cond.wait(held, ready);
            auto task = std::move(tasks.front());
            tasks.pop_front();
            held.unlock();
            task();
        }
    }
    std::mutex lock;
    std::condition_variable cond;
    std::condition_variable_any any;
    std::deque<std::function<void()>> tasks;
};

static std::counting_semaphore<8> items(0);
static std::binary_semaphore guard(1);
static std::atomic<int> turn{0};

static void serve() {
    for (;;) {
        if (how == "semaphore") items.acquire();
        else if (how == "released") {
            guard.acquire();
            guard.release();
            nap(0.01);
        } else {
            int seen = turn.load();
            turn.wait(seen);
        }
    }
}

int main(int argc, char **argv) {
    how = argc > 1 ? argv[1] : "pool";
    double seconds = (double)number(argc, argv, 2, 7);
    static Pool *pool;
    bool by_pool = how == "pool" || how == "any" || how == "idle" || how == "own";
    if (by_pool) pool = new Pool(2);
    else {
        if (how == "released") guard.acquire();
        std::thread(serve).detach();
    }
    nap(0.3);
    fact("forker", getpid());
    fact("lost", by_pool ? 2 : 1);
    pid_t pid = fork_or_die();
    if (pid == 0) {
        nap(0.5);
        if (how == "own") pool = new Pool(1);
        if (by_pool && how != "idle") pool->submit([] { nap(0.1); });
        if (how == "semaphore") items.release(2);
        if (how == "released") {
            guard.release();
            for (int at = 0; at < 100; at++) {
                guard.acquire();
                nap(0.01);
                guard.release();
            }
            guard.acquire();
        }
        if (how == "atomic") {
            turn++;
            turn.notify_one();
        }
        nap(seconds);
        _exit(0);
    }
    fact("born", pid);
    if (how == "pool" || how == "any" || how == "semaphore" || how == "atomic") fact("stuck", pid);
    if (how == "released") guard.release();
    reap();
    return 0;
}

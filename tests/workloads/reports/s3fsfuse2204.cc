/*
 * The mechanism of https://github.com/s3fs-fuse/s3fs-fuse/pull/2204: the pool of threads is started
 * before the program becomes a daemon. The daemon hands a task to the pool and waits for a semaphore that
 * one of the pool's threads would post. The semaphore is made after the fork.
 * The tracer must say: lost-waker.
 *
 * s3fsfuse2204 [SECONDS]
 */
#include "../common.h"
#include <functional>
#include <list>
#include <mutex>
#include <thread>

namespace {
struct Pool {
    sem_t more;
    std::mutex mutex;
    std::list<std::function<void()>> tasks;

    void run() {
        pthread_setname_np(pthread_self(), "s3-worker");
        for (;;) {
            while (sem_wait(&more) != 0) {
            }
            std::unique_lock<std::mutex> lock(mutex);
            auto task = std::move(tasks.front());
            tasks.pop_front();
            lock.unlock();
            task();
        }
    }
    void give(std::function<void()> task) {
        std::lock_guard<std::mutex> lock(mutex);
        tasks.push_back(std::move(task));
        sem_post(&more);
    }
};

__attribute__((noinline)) void head_request(Pool &pool) {
    sem_t done;
    check(sem_init(&done, 0, 0) == 0, "sem_init");
    pool.give([&done] { sem_post(&done); });
    sem_wait(&done);
}
} // namespace

int main(int argc, char **argv) {
    Pool *pool = new Pool;
    check(sem_init(&pool->more, 0, 0) == 0, "sem_init");
    for (int i = 0; i < 3; i++) std::thread([pool] { pool->run(); }).detach();
    head_request(*pool);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 3);
    if (fork_or_die() == 0) {
        setsid();
        hang_at_most(number(argc, argv, 1, 6));
        head_request(*pool);
        _exit(98);
    }
    /* A daemon's parent would end at once. This one stays, so that the hang can be watched. */
    reap();
    _exit(0);
}

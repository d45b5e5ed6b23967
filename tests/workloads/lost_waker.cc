/*
 * A child waits for something that only a thread of its parent was to bring about: it is no lock,
 * nobody holds it, and nobody is left in the child who could wake it.
 * The tracer must say: lost-waker.
 *
 * lost_waker WHAT WOKEN [SECONDS]
 *   WHAT   cond | barrier | atomic | byte | counting: a condition variable, a pthread_barrier_t,
 *          std::atomic<int>::wait, the same of one byte (for which the library has words of its
 *          own), std::counting_semaphore
 *          any | future | async | latch | cxx-barrier: std::condition_variable_any, a std::future of a
 *          std::promise, one of std::async, std::latch, std::barrier
 *   WOKEN  never, or by-thread: the child has a second thread that wakes the first after 3 s, and
 *          the tracer must say nothing
 */
#include "common.h"

#include <barrier>
#include <condition_variable>
#include <future>
#include <latch>
#include <mutex>
#include <semaphore>
#include <string>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static std::atomic<int> word{3};
static std::atomic<char> byte{3};
static std::counting_semaphore<16> counting{0};
static bool done;
static std::mutex beside;
static std::condition_variable_any any;
static std::promise<int> promise;
static std::future<int> answer = promise.get_future(), result;
static std::latch latch{1};
static std::barrier<> cxx_barrier{2};

static void wait_for(const std::string &what) {
    if (what == "cond") {
        pthread_mutex_lock(&lock);
        while (!done) pthread_cond_wait(&condition, &lock);
        pthread_mutex_unlock(&lock);
    }
    if (what == "barrier") pthread_barrier_wait(&barrier);
    if (what == "atomic") word.wait(3);
    if (what == "byte") byte.wait(3);
    if (what == "counting") counting.acquire();
    if (what == "any") {
        std::unique_lock guard{beside};
        any.wait(guard, [] { return done; });
    }
    if (what == "future") answer.get();
    if (what == "async") result.get();
    if (what == "latch") latch.wait();
    if (what == "cxx-barrier") cxx_barrier.arrive_and_wait();
}

static void *wake(void *arg) {
    nap(3);
    pthread_mutex_lock(&lock);
    done = true;
    pthread_cond_signal(&condition);
    pthread_mutex_unlock(&lock);
    if (!strcmp(static_cast<const char *>(arg), "barrier")) pthread_barrier_wait(&barrier);
    word = 4;
    word.notify_all();
    byte = 4;
    byte.notify_all();
    counting.release();
    any.notify_all();
    latch.count_down();
    if (!strcmp(static_cast<const char *>(arg), "future")) promise.set_value(1);
    if (!strcmp(static_cast<const char *>(arg), "cxx-barrier")) cxx_barrier.arrive_and_wait();
    return nullptr;
}

/* The one who was to wake the child's waiter, had it been copied. */
static void *stay(void *) {
    for (;;) nap(1);
    return nullptr;
}

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    wait_until_told();
    pthread_barrier_init(&barrier, nullptr, 2);
    pthread_t thread;
    if (strcmp(argv[1], "async")) {
        start(&thread, stay, nullptr);
    } else {
        result = std::async(std::launch::async, [] { return static_cast<int>(stay(nullptr) != nullptr); });
    }
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 3, 6));
        if (strcmp(argv[2], "never")) start(&thread, wake, argv[1]);
        wait_for(argv[1]);
        _exit(98);
    }
    fact("forker", getpid());
    fact("lost", 1);
    reap();
    _exit(0);
}

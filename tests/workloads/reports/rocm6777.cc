/*
 * The mechanism of https://github.com/ROCm/rocm-systems/pull/6777: a logger has a spinlock of its own. A
 * thread has it at the fork. In the child a fork handler logs, and spins for ever.
 * The tracer must say: at least that the child is busy since its fork.
 *
 * rocm6777 [SECONDS]
 */
#include "../common.h"

namespace {
std::atomic_flag logger_lock = ATOMIC_FLAG_INIT;
std::atomic_int taken;

void *logs(void *arg) {
    pthread_setname_np(pthread_self(), "sampler");
    while (logger_lock.test_and_set(std::memory_order_acquire)) {
    }
    taken = 1;
    for (;;) nap(1);
    return arg;
}

long limit;

void after_fork() {
    hang_at_most(limit);
    while (logger_lock.test_and_set(std::memory_order_acquire)) __builtin_ia32_pause();
}
} // namespace

int main(int argc, char **argv) {
    limit = number(argc, argv, 1, 6);
    pthread_t thread;
    start(&thread, logs, nullptr);
    while (!taken) nap(0.01);
    pthread_atfork(nullptr, nullptr, after_fork);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 1);
    if (fork_or_die() == 0) _exit(98);
    reap();
    return 0;
}

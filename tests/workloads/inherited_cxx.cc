/*
 * A child wants a lock of C++ that a thread of its parent held at the fork, and hangs.
 * The tracer must say: inherited-lock, certain; the holder where the lock knows it.
 *
 * inherited_cxx LOCK HOLDER [SECONDS]
 *   HOLDER  parent, or child: the lock is free at the fork, a thread of the child has it for ever,
 *           and the tracer must not say that it was inherited
 *   LOCK  mutex | recursive | shared-write | shared-read | static: std::mutex,
 *         std::recursive_mutex, std::shared_mutex held for writing or reading (and wanted for
 *         writing), the guard of a static variable that is being initialised
 */
#include "common.h"

#include <mutex>
#include <shared_mutex>
#include <string>

static std::mutex mutex;
static std::recursive_mutex recursive;
static std::shared_mutex shared;
static std::atomic<long> holder;

static void stay() {
    holder = gettid();
    for (;;) nap(1);
}

struct Slow {
    Slow() { stay(); }
};

static void take_static() { static Slow slow; }

static void *hold(void *arg) {
    std::string lock = static_cast<const char *>(arg);
    if (lock == "mutex") mutex.lock();
    if (lock == "recursive") recursive.lock();
    if (lock == "shared-write") shared.lock();
    if (lock == "shared-read") shared.lock_shared();
    if (lock == "static") take_static();
    stay();
    return nullptr;
}

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    std::string lock = argv[1];
    bool by_parent = !strcmp(argv[2], "parent");
    wait_until_told();
    pthread_t thread;
    auto hold_it = [&] {
        start(&thread, hold, argv[1]);
        while (holder == 0) nap(0.01);
    };
    if (by_parent) hold_it();
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 3, 6));
        if (!by_parent) hold_it();
        if (lock == "mutex") mutex.lock();
        if (lock == "recursive") recursive.lock();
        if (lock == "shared-write" || lock == "shared-read") shared.lock();
        if (lock == "static") take_static();
        _exit(98);
    }
    fact("forker", getpid());
    fact("lost", by_parent);
    fact("holder", holder);
    reap();
    return 0;
}

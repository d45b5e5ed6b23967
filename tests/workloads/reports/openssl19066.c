/*
 * The mechanism of https://github.com/openssl/openssl/issues/19066: a thread has a lock of the library for
 * writing while another forks (the lock of its random numbers, a pthread_rwlock_t). The child has started
 * a thread of its own, which watches the network, when it makes its first connection.
 * The tracer must say: inherited-lock, beside a living thread.
 *
 * openssl19066 [SECONDS]
 */
#include "../common.h"
#include <sys/socket.h>

static pthread_rwlock_t *random_lock;
static atomic_int taken;
static int listening;

static void *handshake(void *arg) {
    pthread_setname_np(pthread_self(), "handshake");
    pthread_rwlock_wrlock(random_lock);
    fact("holder", gettid());
    taken = 1;
    for (;;) nap(1);
    return arg;
}

static void *watch(void *arg) {
    for (;;) accept(listening, NULL, NULL);
    return arg;
}

static __attribute__((noinline)) void connect_securely(void) { pthread_rwlock_wrlock(random_lock); }

int main(int argc, char **argv) {
    random_lock = malloc(sizeof *random_lock);
    check(random_lock != NULL && pthread_rwlock_init(random_lock, NULL) == 0, "pthread_rwlock_init");
    pthread_t thread;
    start(&thread, handshake, NULL);
    while (!taken) nap(0.01);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 1);
    if (fork_or_die() == 0) {
        listening = socket(AF_INET, SOCK_STREAM, 0);
        check(listen(listening, 1) == 0, "listen");
        start(&thread, watch, NULL);
        hang_at_most(number(argc, argv, 1, 6));
        connect_securely();
        _exit(98);
    }
    reap();
    return 0;
}

/*
 * The mechanism of https://github.com/golang/go/issues/53806 (and of 14767 and 15538): a library in Go has
 * been used before a fork, and the child calls it again. The call is handed to another thread of Go's
 * runtime, which the child does not have, and the calling thread sleeps on a note: a word of 32 bits, with
 * a futex and without a timeout (runtime/lock_futex.go, notesleep). The program has such a note of its own.
 * The tracer must say: lost-waker.
 *
 * golang53806 [SECONDS]
 */
#include "../common.h"
#include <linux/futex.h>
#include <sys/syscall.h>

struct note {
    _Atomic(unsigned) key;
};

static struct note work, done;

static __attribute__((noinline)) void notesleep(struct note *note) {
    while (note->key == 0) syscall(SYS_futex, &note->key, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    note->key = 0;
}

static void notewakeup(struct note *note) {
    note->key = 1;
    syscall(SYS_futex, &note->key, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void *machine(void *arg) {
    for (;;) {
        notesleep(&work);
        notewakeup(&done);
    }
    return arg;
}

static __attribute__((noinline)) void call_go(void) {
    notewakeup(&work);
    notesleep(&done);
}

int main(int argc, char **argv) {
    pthread_t thread;
    start(&thread, machine, NULL);
    call_go();
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 1);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        call_go();
        _exit(98);
    }
    reap();
    return 0;
}

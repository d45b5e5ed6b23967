/*
 * A thread of the parent holds a mutex, and a child comes about in this or that way; it locks the
 * mutex and hangs. The tracer must say: inherited-lock, certain, a glibc mutex.
 *
 * inherited_by HOW [SECONDS]
 *   HOW  thread: another thread than the main one forks; clone, clone3: by these system calls, past
 *        the C library; _Fork: without the handlers of fork(); double: a grandchild whose parent has
 *        ended; daemon: the same in a session of its own; chain: four forks deep, all waiting;
 *        namespace: in a new pid namespace
 */
#include "common.h"
#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_long holder;
static const char *how;
static long seconds;

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    holder = gettid();
    for (;;) nap(1);
    return NULL;
}

static int is(const char *name) { return !strcmp(how, name); }

static pid_t make_child(void) {
    struct clone_args args = {.exit_signal = SIGCHLD};
    if (is("clone")) return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (is("clone3")) return (pid_t)syscall(SYS_clone3, &args, sizeof args);
    if (is("_Fork")) return _Fork();
    return fork_or_die();
}

/* The fork that makes the child that hangs. */
static pid_t last_fork(int lost) {
    fact("forker", getpid());
    fact("lost", lost);
    pid_t child = make_child();
    check(child >= 0, "fork");
    if (child == 0) {
        alarm((unsigned)seconds);
        /* Past the C library the numbers that it remembers are the parent's. */
        nap(0.2);
        pthread_mutex_lock(&lock);
        _exit(98);
    }
    fact("stuck", child);
    return child;
}

static void *fork_here(void *arg) {
    (void)arg;
    if (is("namespace")) check(unshare(CLONE_NEWPID) == 0, "unshare");
    /* From another thread the main one is lost as well. */
    pid_t child = last_fork(is("thread") ? 2 : 1);
    if (is("namespace")) {
        /* Its first process is not ended by a signal of its own. */
        nap((double)seconds);
        kill(child, SIGKILL);
    }
    reap();
    return NULL;
}

static void deeper(int levels) {
    if (levels == 0) {
        last_fork(0);
        if (is("chain")) reap();
        return;
    }
    if (fork_or_die() == 0) {
        if (is("daemon")) setsid();
        deeper(levels - 1);
        _exit(0);
    }
    reap();
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    how = argv[1];
    seconds = number(argc, argv, 2, 6);
    wait_until_told();
    pthread_t thread;
    start(&thread, hold, NULL);
    while (holder == 0) nap(0.01);
    fact("holder", holder);
    if (is("thread")) {
        start(&thread, fork_here, NULL);
        pthread_join(thread, NULL);
    } else if (is("double") || is("daemon")) {
        deeper(1);
        /* Not its child: it is waited for by its end. */
        nap((double)seconds);
    } else if (is("chain")) {
        deeper(3);
    } else {
        fork_here(NULL);
    }
    return 0;
}

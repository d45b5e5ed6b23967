/*
 * Signals that a child has blocked since its fork, and their healthy look-alikes.
 *
 * blocked_signals WHAT
 */
#include "common.h"

#include <sys/signalfd.h>

static sigset_t set_of(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

static void block(int signal) {
    sigset_t set = set_of(signal);
    check(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0, "pthread_sigmask");
}

/* Tells a child to end, waits for as long as it takes to be sure, and ends it. */
static void told(pid_t child, int signal) {
    nap(0.3);
    kill(child, signal);
    nap(6.5);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void rest(void) {
    for (;;) nap(60);
}

/* The parent has the signal blocked, and so has its worker. */
static void inherited(int signal) {
    block(signal);
    pid_t child = fork_or_die();
    if (child == 0) rest();
    fact("stuck", child);
    told(child, signal);
}

static void term(void) { inherited(SIGTERM); }
static void interrupt(void) { inherited(SIGINT); }
static void hangup(void) { inherited(SIGHUP); }

/* A thread that has everything blocked, as background threads have, forks. */
static void *forks(void *unused) {
    sigset_t all;
    sigfillset(&all);
    check(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0, "pthread_sigmask");
    pid_t child = fork_or_die();
    if (child == 0) rest();
    fact("stuck", child);
    told(child, SIGTERM);
    return unused;
}

static void thread(void) {
    pthread_t thread;
    check(pthread_create(&thread, NULL, forks, NULL) == 0, "pthread_create");
    pthread_join(thread, NULL);
}

static void on_child(int signal) { (void)signal; }

/* SIGCHLD never comes, and an ended child is not waited for. */
static void child(void) {
    struct sigaction action = {.sa_handler = on_child};
    sigaction(SIGCHLD, &action, NULL);
    block(SIGCHLD);
    pid_t worker = fork_or_die();
    if (worker == 0) {
        if (fork_or_die() == 0) _exit(0);
        rest();
    }
    fact("stuck", worker);
    nap(6.5);
    kill(worker, SIGKILL);
    waitpid(worker, NULL, 0);
}

static void *naps(void *unused) {
    rest();
    return unused;
}

/* The child has threads, all of which have it blocked. */
static void with_threads(void) {
    block(SIGTERM);
    pid_t child = fork_or_die();
    if (child == 0) {
        pthread_t thread;
        check(pthread_create(&thread, NULL, naps, NULL) == 0, "pthread_create");
        rest();
    }
    fact("stuck", child);
    told(child, SIGTERM);
}

/* What must not be said. */

static void own(void) {
    pid_t child = fork_or_die();
    if (child == 0) {
        block(SIGTERM);
        rest();
    }
    told(child, SIGTERM);
}

static void waits(void) {
    block(SIGTERM);
    pid_t child = fork_or_die();
    if (child == 0) {
        sigset_t set = set_of(SIGTERM);
        int signal;
        sigwait(&set, &signal);
        nap(1);
        _exit(0);
    }
    nap(2);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
}

/* It looks at its signalfd between two long jobs. */
static void has_signalfd(void) {
    block(SIGTERM);
    pid_t child = fork_or_die();
    if (child == 0) {
        sigset_t set = set_of(SIGTERM);
        check(signalfd(-1, &set, 0) >= 0, "signalfd");
        rest();
    }
    told(child, SIGTERM);
}

static void section(void) {
    block(SIGTERM);
    pid_t child = fork_or_die();
    if (child == 0) {
        nap(2);
        sigset_t set = set_of(SIGTERM);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        rest();
    }
    nap(0.2);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
}

static void unblocks(void) {
    block(SIGTERM);
    pid_t child = fork_or_die();
    if (child == 0) {
        sigset_t set = set_of(SIGTERM);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        nap(2.5);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        rest();
    }
    nap(2.5);
    told(child, SIGTERM);
}

static void ignored(void) {
    signal(SIGHUP, SIG_IGN);
    block(SIGHUP);
    pid_t child = fork_or_die();
    if (child == 0) rest();
    told(child, SIGHUP);
}

static void not_sent(void) {
    block(SIGTERM);
    pid_t child = fork_or_die();
    if (child == 0) {
        nap(6);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

/* Its children are waited for, whatever became of SIGCHLD. */
static void reaped(void) {
    struct sigaction action = {.sa_handler = on_child};
    sigaction(SIGCHLD, &action, NULL);
    block(SIGCHLD);
    pid_t worker = fork_or_die();
    if (worker == 0) {
        for (int at = 0; at < 12; at++) {
            pid_t job = fork_or_die();
            if (job == 0) _exit(0);
            waitpid(job, NULL, 0);
            nap(0.5);
        }
        _exit(0);
    }
    waitpid(worker, NULL, 0);
}

static void executed(void) {
    block(SIGTERM);
    pid_t child = fork_or_die();
    if (child == 0) {
        execlp("sleep", "sleep", "7", NULL);
        _exit(1);
    }
    nap(0.3);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
}

static void stopped(void) {
    block(SIGTERM);
    pid_t child = fork_or_die();
    if (child == 0) rest();
    kill(child, SIGSTOP);
    told(child, SIGTERM);
}

static void other_thread(void) {
    block(SIGTERM);
    pid_t child = fork_or_die();
    if (child == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, naps, NULL);
        sigset_t set = set_of(SIGTERM);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        rest();
    }
    told(child, SIGTERM);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {
        {"term", term},         {"interrupt", interrupt},
        {"hangup", hangup},     {"thread", thread},
        {"child", child},       {"with_threads", with_threads},
        {"own", own},           {"waits", waits},
        {"signalfd", has_signalfd}, {"section", section},
        {"unblocks", unblocks}, {"ignored", ignored},
        {"not_sent", not_sent}, {"reaped", reaped},
        {"executed", executed}, {"stopped", stopped},
        {"other_thread", other_thread},
    };
    check(argc == 2, "an argument");
    for (size_t at = 0; at < sizeof all / sizeof *all; at++) {
        if (strcmp(all[at].name, argv[1]) == 0) all[at].run();
    }
    return 0;
}

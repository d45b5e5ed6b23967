/*
 * A child waits for an event that a thread of its parent was to bring about, and that it does not have.
 *
 * events WHAT HOW [SECONDS]
 *   WHAT  eventfd | pipe | socket: what the thread would write to
 *   HOW   read | poll | select | epoll: how the child waits for it
 *         late: it reads, and has a thread of its own that writes after SECONDS
 *         asked: it reads, and the parent writes after SECONDS
 * The parent closes its copies and waits for the child.
 *
 * events CASE none [SECONDS]
 *   kept      eventfd, read; the parent keeps it, and its own thread waits for a task of the thread that
 *             waits for the child
 * Every wait ends:
 *   signalfd  the child reads signals that the parent sends, the last after SECONDS
 *   timerfd   the child waits for a timer of its own, again and again, for SECONDS
 *   sigwait   the child waits for signals that the parent sends, the last after SECONDS
 *   pause     the child rests until SIGTERM, for which it has no handler, ends it
 *   listen    two children wait in epoll for connections to a socket that they inherited
 *   prefork   a master waits for signals, its workers for connections; it is told to stop
 *   daemon    a daemon rests, without a parent, until it is ended
 */
#include "common.h"
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

static const char *what, *how;
static double seconds;
/* Where to read and where to write; of an eventfd the same. */
static int ends[2];
static sem_t never;

static int is(const char *name) { return !strcmp(what, name); }

static int goes(const char *name) { return !strcmp(how, name); }

static void tell(void) {
    uint64_t one = 1;
    check(write(ends[1], &one, sizeof one) == sizeof one, "write");
}

static void *write_late(void *arg) {
    (void)arg;
    nap(seconds);
    tell();
    return NULL;
}

/* The one who would write, had it been told to. */
static void *wait_for_task(void *arg) {
    (void)arg;
    for (;;) {
        while (sem_wait(&never) != 0) {
        }
        tell();
    }
    return NULL;
}

static void make(void) {
    if (is("pipe")) check(pipe(ends) == 0, "pipe");
    if (is("socket")) check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    if (is("eventfd") || is("kept")) {
        ends[0] = ends[1] = eventfd(0, EFD_CLOEXEC);
        check(ends[0] >= 0, "eventfd");
    }
}

static void receive(void) {
    uint64_t value;
    if (goes("poll")) {
        check(poll(&(struct pollfd){ends[0], POLLIN, 0}, 1, -1) == 1, "poll");
    } else if (goes("select")) {
        fd_set set;
        FD_ZERO(&set);
        FD_SET(ends[0], &set);
        check(select(ends[0] + 1, &set, NULL, NULL, NULL) == 1, "select");
    } else if (goes("epoll")) {
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = {.events = EPOLLIN};
        check(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) == 0, "epoll_ctl");
        check(epoll_wait(epoll, &event, 1, -1) == 1, "epoll_wait");
    }
    check(read(ends[0], &value, sizeof value) == sizeof value, "read");
}

static void events(void) {
    pthread_t thread;
    make();
    sem_init(&never, 0, 0);
    start(&thread, wait_for_task, NULL);
    nap(0.1);
    fact("forker", getpid());
    fact("lost", 1);
    if (fork_or_die() == 0) {
        if (goes("late")) start(&thread, write_late, NULL);
        if (!goes("late") && !goes("asked")) hang_at_most((long)seconds);
        receive();
        _exit(0);
    }
    if (goes("asked")) {
        nap(seconds);
        tell();
    }
    if (!is("kept")) {
        close(ends[0]);
        close(ends[1]);
    }
    reap();
}

static sigset_t blocked(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGTERM);
    check(sigprocmask(SIG_BLOCK, &set, NULL) == 0, "sigprocmask");
    return set;
}

static void signals(void) {
    sigset_t set = blocked();
    pid_t child = fork_or_die();
    if (child == 0) {
        int file = signalfd(-1, &set, SFD_CLOEXEC);
        check(file >= 0, "signalfd");
        for (int signal = 0; signal != SIGTERM;) {
            struct signalfd_siginfo info;
            if (is("sigwait")) {
                sigwait(&set, &signal);
            } else {
                check(read(file, &info, sizeof info) == sizeof info, "read");
                signal = (int)info.ssi_signo;
            }
        }
        _exit(0);
    }
    nap(1);
    kill(child, SIGUSR1);
    nap(seconds);
    kill(child, SIGTERM);
}

static void timer(void) {
    if (fork_or_die() != 0) return;
    int file = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec every = {{2, 0}, {2, 0}};
    check(file >= 0 && timerfd_settime(file, 0, &every, NULL) == 0, "timerfd");
    for (uint64_t times, sum = 0; sum * 2 < (uint64_t)seconds; sum += times) {
        check(read(file, &times, sizeof times) == sizeof times, "read");
    }
    _exit(0);
}

static void rest(void) {
    pid_t child = fork_or_die();
    if (child == 0) {
        for (;;) pause();
    }
    nap(seconds);
    kill(child, SIGTERM);
}

static int listening(struct sockaddr_in *address) {
    socklen_t size = sizeof *address;
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    check(bind(file, (struct sockaddr *)address, size) == 0 && listen(file, 8) == 0, "listen");
    check(getsockname(file, (struct sockaddr *)address, &size) == 0, "getsockname");
    return file;
}

static void call(const struct sockaddr_in *address) {
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(connect(file, (const struct sockaddr *)address, sizeof *address) == 0, "connect");
    close(file);
}

/* Each takes one connection. */
static void serve(int file, int in_epoll) {
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, file, &event) == 0, "epoll_ctl");
    if (in_epoll) check(epoll_wait(epoll, &event, 1, -1) == 1, "epoll_wait");
    close(accept(file, NULL, NULL));
    _exit(0);
}

static void listen_in_children(void) {
    struct sockaddr_in address;
    int file = listening(&address);
    for (int i = 0; i < 2; i++) {
        if (fork_or_die() == 0) serve(file, 1);
    }
    nap(seconds);
    for (int i = 0; i < 2; i++) {
        call(&address);
        wait(NULL);
    }
}

static void ignore(int signal) { (void)signal; }

static void prefork(void) {
    struct sockaddr_in address;
    int file = listening(&address);
    pid_t master = fork_or_die(), workers[3];
    if (master == 0) {
        sigset_t none;
        sigemptyset(&none);
        blocked();
        signal(SIGTERM, ignore);
        for (int i = 0; i < 3; i++) {
            workers[i] = fork_or_die();
            if (workers[i] != 0) continue;
            signal(SIGTERM, SIG_DFL);
            sigprocmask(SIG_SETMASK, &none, NULL);
            for (;;) close(accept(file, NULL, NULL));
        }
        sigsuspend(&none);
        for (int i = 0; i < 3; i++) kill(workers[i], SIGTERM);
        reap();
        _exit(0);
    }
    nap(seconds);
    call(&address);
    kill(master, SIGTERM);
}

/* The pipe brings the daemon's pid, then is closed. */
static void daemonize(void) {
    int told[2];
    pid_t pid;
    check(pipe(told) == 0, "pipe");
    if (fork_or_die() == 0) {
        setsid();
        if (fork_or_die() != 0) _exit(0);
        pid = getpid();
        check(write(told[1], &pid, sizeof pid) == sizeof pid, "write");
        close(told[0]);
        close(told[1]);
        for (;;) pause();
    }
    check(read(told[0], &pid, sizeof pid) == sizeof pid, "read");
    nap(seconds);
    kill(pid, SIGTERM);
}

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    what = argv[1];
    how = argv[2];
    seconds = (double)number(argc, argv, 3, 6);
    wait_until_told();
    if (is("eventfd") || is("pipe") || is("socket") || is("kept")) events();
    if (is("signalfd") || is("sigwait")) signals();
    if (is("timerfd")) timer();
    if (is("pause")) rest();
    if (is("listen")) listen_in_children();
    if (is("prefork")) prefork();
    if (is("daemon")) daemonize();
    reap();
    return 0;
}

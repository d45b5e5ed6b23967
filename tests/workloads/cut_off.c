/*
 * A circle of waits, or a wait for what nobody else has, that something outside of the tasks' own code ends.
 *
 * cut_off HOW [SECONDS]
 * The parent waits for the child, and the child for the parent:
 *   lock      the child for a lock on a file, with a handler of SIGALRM: a lock with a time limit
 *   reaper    the child for data; the parent's handler of SIGALRM ends the child
 *   timer     the child for data; a timer of POSIX in the parent has a handler send it
 *   worker    the child for data; the parent sends it when it is told to stop (SIGTERM)
 *   sibling   the child for data; the parent sends it when another child has ended
 * The child waits for what it alone has:
 *   aio       an eventfd, to which the kernel's asynchronous input and output writes
 *   filter    a pipe; a filter of system calls has the parent answer the read
 * The same without anybody who does:
 *   hang      the child for data, with a handler of SIGUSR1 of its own that does nothing
 */
#include "common.h"
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#define ANSWERED 77

static const char *how;
static int ends[2];
static pid_t child;
static char path[] = "/tmp/forktrace-cut-XXXXXX";

static int is(const char *name) { return !strcmp(how, name); }

static void nothing(int signal) { (void)signal; }
static void send_it(int signal) { check(write(ends[1], &signal, 1) == 1, "write"); }
static void end_it(int signal) {
    (void)signal;
    check(kill(child, SIGKILL) == 0, "kill");
}

static void handle(int signal, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler};
    check(sigaction(signal, &action, NULL) == 0, "sigaction");
}

static void read_byte(int fd) {
    char byte;
    while (read(fd, &byte, 1) < 0) check(errno == EINTR, "read");
}

/* The kernel writes to an eventfd once a timer has run out. */
static void wait_for_aio(long seconds) {
    aio_context_t context = 0;
    check(syscall(SYS_io_setup, 8, &context) == 0, "io_setup");
    int event = eventfd(0, 0), timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec time = {.it_value = {seconds, 0}};
    check(timerfd_settime(timer, 0, &time, NULL) == 0, "timerfd_settime");
    struct iocb block = {.aio_fildes = (uint32_t)timer, .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN};
    struct iocb *blocks = &block;
    block.aio_flags = IOCB_FLAG_RESFD;
    block.aio_resfd = (uint32_t)event;
    check(syscall(SYS_io_submit, context, 1, &blocks) == 1, "io_submit");
    uint64_t count;
    check(read(event, &count, sizeof count) == sizeof count, "read");
}

/* Reads of one descriptor are for the parent to answer, which finds the listener in this process. */
static void wait_for_answer(void) {
    int own[2];
    check(pipe(own) == 0 && dup2(own[0], ANSWERED) == ANSWERED, "pipe");
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ANSWERED, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof rules / sizeof *rules, rules};
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "prctl");
    int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
    check(listener >= 0 && write(ends[1], &listener, sizeof listener) == sizeof listener, "seccomp");
    char byte;
    check(read(ANSWERED, &byte, 1) == 0, "read");
}

static void answer(double seconds) {
    int number, process = (int)syscall(SYS_pidfd_open, child, 0);
    check(read(ends[0], &number, sizeof number) == sizeof number, "read");
    int listener = (int)syscall(SYS_pidfd_getfd, process, number, 0);
    struct seccomp_notif asked = {0};
    check(listener >= 0 && ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) == 0, "listener");
    nap(seconds);
    struct seccomp_notif_resp answered = {.id = asked.id};
    check(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answered) == 0, "answer");
}

static void lock_with_limit(long seconds) {
    handle(SIGALRM, nothing);
    alarm((unsigned)seconds);
    int file = open(path, O_RDWR | O_CLOEXEC);
    check(flock(file, LOCK_EX) < 0 && errno == EINTR, "flock");
}

static void be_child(long seconds) {
    if (is("aio")) return wait_for_aio(seconds);
    if (is("filter")) return wait_for_answer();
    if (is("lock")) return lock_with_limit(seconds);
    if (is("hang")) {
        hang_at_most(seconds);
        handle(SIGUSR1, nothing);
    }
    close(ends[1]);
    read_byte(ends[0]);
}

/* What ends the wait of the child comes to the parent while it waits for the child. */
static void prepare(long seconds) {
    if (is("reaper")) handle(SIGALRM, end_it);
    if (is("reaper")) alarm((unsigned)seconds);
    if (is("timer")) {
        handle(SIGUSR1, send_it);
        timer_t timer;
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
        struct itimerspec time = {.it_value = {seconds, 0}};
        check(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
        check(timer_settime(timer, 0, &time, NULL) == 0, "timer_settime");
    }
    if (is("worker")) handle(SIGTERM, send_it);
    if (is("sibling")) handle(SIGCHLD, send_it);
    pid_t parent = getpid();
    if ((is("worker") || is("sibling")) && fork_or_die() == 0) {
        nap((double)seconds);
        if (is("worker")) kill(parent, SIGTERM);
        _exit(0);
    }
    if (is("filter")) answer((double)seconds);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    how = argv[1];
    long seconds = number(argc, argv, 2, 6);
    check(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    int held = mkostemp(path, O_CLOEXEC);
    check(held >= 0 && flock(held, LOCK_EX) == 0, "flock");
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 0);
    child = fork_or_die();
    if (child == 0) {
        close(held);
        if (!is("hang")) fact("born", getpid());
        be_child(seconds);
        _exit(0);
    }
    prepare(seconds);
    while (waitpid(child, NULL, 0) < 0) check(errno == EINTR, "waitpid");
    reap();
    unlink(path);
    return 0;
}

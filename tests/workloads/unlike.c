/*
 * A child hangs on an inherited mutex, in a process that is unlike others.
 * The tracer must say: inherited-lock, certain, and must not tell what lies beside the mutex.
 *
 * unlike HOW SECONDS
 *   hidden   it is not dumpable: its files in /proc are root's
 *   filtered seccomp refuses it every system call but those that it needs
 *   seized   the parent is its debugger, and lets it run
 *   stepped  the parent is its debugger, and stops it at every system call, as strace does
 *   secret   there are secrets in its memory: in the page of the mutex, on the stack, on the heap
 */
#include "common.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

/* Further from the mutex than what a finding needs. */
static struct {
    char before[512];
    pthread_mutex_t lock;
    char after[512];
} page __attribute__((aligned(4096)));

static void *hold(void *held) {
    pthread_mutex_lock(&page.lock);
    sem_post(held);
    pause();
    return NULL;
}

static void filter(void) {
#define ALLOW(call)                                                                                 \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1),                                           \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        ALLOW(futex),
        ALLOW(write),
        ALLOW(alarm),
        ALLOW(exit_group),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

/* Lets the child run as a debugger does, until it ends. */
static void debug(pid_t child, int stepped) {
    check(ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD) == 0, "seize");
    if (stepped) check(ptrace(PTRACE_INTERRUPT, child, 0, 0) == 0, "interrupt");
    fact("debugger", getpid());
    int status;
    while (waitpid(child, &status, __WALL) == child && WIFSTOPPED(status)) {
        int signal = WSTOPSIG(status);
        if (signal & 0x80 || signal == SIGTRAP) signal = 0;
        ptrace(stepped ? PTRACE_SYSCALL : PTRACE_CONT, child, 0, signal);
    }
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    long seconds = number(argc, argv, 2, 5);
    int is_debugger = !strcmp(how, "seized") || !strcmp(how, "stepped");
    char on_stack[64] = "";
    if (!strcmp(how, "hidden")) check(prctl(PR_SET_DUMPABLE, 0) == 0, "dumpable");
    if (!strcmp(how, "secret")) {
        strcpy(page.before, "secret-before-the-lock");
        strcpy(page.after + sizeof page.after - 64, "secret-after-the-lock");
        strcpy(on_stack, "secret-on-the-stack");
        strcpy(malloc(64), "secret-on-the-heap");
    }
    pthread_mutex_init(&page.lock, NULL);
    sem_t held;
    sem_init(&held, 0, 0);
    pthread_t holder;
    start(&holder, hold, &held);
    sem_wait(&held);
    wait_until_told();
    int go[2];
    check(pipe(go) == 0, "pipe");
    pid_t child = fork_or_die();
    if (child == 0) {
        char byte;
        close(go[1]);
        if (is_debugger) check(read(go[0], &byte, 1) == 1, "read");
        hang_at_most(seconds);
        if (!strcmp(how, "filtered")) filter();
        pthread_mutex_lock(&page.lock);
        _exit(on_stack[0] != 0);
    }
    if (is_debugger) {
        /* A debugger that waits for the child's first stop would wait for what it holds up itself. */
        check(write(go[1], "x", 1) == 1, "write");
        debug(child, !strcmp(how, "stepped"));
    }
    reap();
    return 0;
}

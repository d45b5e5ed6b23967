/*
 * The mechanism of https://github.com/openpbs/openpbs/pull/2299: a thread is inside of getaddrinfo()
 * at the fork, where glibc holds a lock while it asks the kernel for the host's own addresses; the
 * child resolves a name too and hangs. Here the thread's question is held up by a seccomp filter of
 * its own, which nobody answers; otherwise it would take luck to hit the instant.
 * The tracer must say: inherited-lock, certain, a lock inside of glibc, holder unknown.
 *
 * openpbs2299 [SECONDS]
 */
#include "../common.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netdb.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static atomic_int resolving;

/* From now on this thread's sendto() waits for an answer from whoever has the descriptor. */
static void hold_up_sendto(void) {
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendto, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
    check(fd >= 0, "seccomp");
}

static __attribute__((noinline)) void resolve(const char *name) {
    struct addrinfo hints = {.ai_flags = AI_ADDRCONFIG}, *found = NULL;
    resolving = 1;
    if (getaddrinfo(name, "80", &hints, &found) == 0) freeaddrinfo(found);
}

static void *tpp_thread(void *arg) {
    (void)arg;
    pthread_setname_np(pthread_self(), "tpp");
    hold_up_sendto();
    resolve("localhost");
    return NULL;
}

int main(int argc, char **argv) {
    wait_until_told();
    pthread_t thread;
    start(&thread, tpp_thread, NULL);
    while (!resolving) nap(0.01);
    nap(0.3);
    fact("forker", getpid());
    fact("lost", 1);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        resolve("localhost");
        _exit(98);
    }
    reap();
    return 0;
}

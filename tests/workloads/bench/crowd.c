/*
 * Many processes, each with many threads besides its first, that do nothing until stdin ends.
 *
 * crowd PROCESSES THREADS sleep|futex
 *   sleep   every thread pauses
 *   futex   every thread but the first waits for one word of its process, without a limit of time
 */
#include "../common.h"

#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static unsigned word;
static int on_futex;

static void *idle(void *arg) {
    while (on_futex) syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    for (;;) pause();
    return arg;
}

static void live(long threads, pid_t parent, int ready) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(0);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16 * 1024);
    for (long i = 0; i < threads; i++) {
        pthread_t thread;
        errno = pthread_create(&thread, &small, idle, NULL);
        check(errno == 0, "pthread_create");
    }
    check(write(ready, "", 1) == 1, "write");
    close(ready);
    for (;;) pause();
}

int main(int argc, char **argv) {
    long processes = number(argc, argv, 1, 10), threads = number(argc, argv, 2, 0);
    on_futex = argc > 3 && strcmp(argv[3], "futex") == 0;
    pid_t self = getpid();
    pid_t *pids = calloc((size_t)processes, sizeof *pids);
    for (long i = 0; i < processes; i++) {
        int ready[2];
        char byte;
        check(pipe(ready) == 0, "pipe");
        pids[i] = fork_or_die();
        if (pids[i] == 0) {
            close(ready[0]);
            live(threads, self, ready[1]);
        }
        close(ready[1]);
        check(read(ready[0], &byte, 1) == 1, "a process of the crowd");
        close(ready[0]);
    }
    fact("crowd", processes);
    char byte;
    while (read(0, &byte, 1) < 0 && errno == EINTR) {
    }
    for (long i = 0; i < processes; i++) kill(pids[i], SIGKILL);
    reap();
    return 0;
}

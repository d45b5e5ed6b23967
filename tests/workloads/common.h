/* What all workloads share. Facts for the test are lines `name=number` on stdout. */
#ifndef COMMON_H
#define COMMON_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#ifdef __cplusplus
#include <atomic>
#else
#include <stdatomic.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline void check(int ok, const char *what) {
    if (!ok) {
        perror(what);
        _exit(99);
    }
}

/* One write, so that lines of several processes do not mix. */
static inline void fact(const char *name, long value) {
    check(dprintf(1, "%s=%ld\n", name, value) > 0, "saying a fact");
}

static inline void nap(double seconds) {
    struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static inline long number(int argc, char **argv, int at, long otherwise) {
    return argc > at ? atol(argv[at]) : otherwise;
}

/* Lets the test attach first: with WORKLOAD_WAITS set, goes on when stdin ends or has a byte. */
static inline void wait_until_told(void) {
    if (getenv("WORKLOAD_WAITS") == NULL) return;
    fact("ready", getpid());
    char byte;
    while (read(0, &byte, 1) < 0 && errno == EINTR) {
    }
}

static inline pid_t fork_or_die(void) {
    pid_t pid = fork();
    check(pid >= 0, "fork");
    return pid;
}

static inline void start(pthread_t *thread, void *(*body)(void *), void *arg) {
    errno = pthread_create(thread, NULL, body, arg);
    check(errno == 0, "pthread_create");
}

/* How long something hangs that would hang for so many seconds: with WORKLOAD_SECONDS set for so long at
 * least. */
static inline long lasts(long seconds) {
    const char *least = getenv("WORKLOAD_SECONDS");
    return least != NULL && atol(least) > seconds ? atol(least) : seconds;
}

/* In a process that hangs: the default action of SIGALRM ends it, so that it does not stay behind. */
static inline void end_after(long seconds) { alarm((unsigned)lasts(seconds)); }

static inline void hang_at_most(long seconds) {
    fact("stuck", getpid());
    end_after(seconds);
}

/* How many threads this process has beside this one. */
static inline long other_threads(void) {
    long count = -1;
    DIR *tasks = opendir("/proc/self/task");
    check(tasks != NULL, "/proc/self/task");
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) count += task->d_name[0] != '.';
    closedir(tasks);
    return count;
}

static inline void reap(void) {
    while (wait(NULL) > 0 || errno == EINTR) {
    }
}
#endif

/*
 * A child runs another program (this one again), which waits.
 *
 * started HOW [SECONDS]
 * For what nobody can do any more:
 *   eventfd   a count in an eventfd that it alone has
 *   lock      a mutex that it has itself
 * The same with somebody who does it after SECONDS:
 *   late-eventfd  its parent has the eventfd too, and writes to it
 *   late-lock     its second thread has the mutex
 */
#include "common.h"
#include <sys/eventfd.h>

static double seconds;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int has;

static void *have(void *arg) {
    pthread_mutex_lock(&lock);
    atomic_store(&has, 1);
    nap(seconds);
    pthread_mutex_unlock(&lock);
    return arg;
}

/* In the program that was started. `fd`: the eventfd that the parent has, or none. */
static void wait_for(const char *how, int fd) {
    pthread_t other;
    if (!strcmp(how, "late-lock")) {
        start(&other, have, NULL);
        while (!atomic_load(&has)) nap(0.01);
    }
    if (!strcmp(how, "lock")) pthread_mutex_lock(&lock);
    if (strstr(how, "lock")) pthread_mutex_lock(&lock);
    if (!strcmp(how, "eventfd")) fd = eventfd(0, 0);
    uint64_t count;
    if (strstr(how, "eventfd")) check(read(fd, &count, sizeof count) == sizeof count, "read");
    _exit(0);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    char *how = argv[1];
    seconds = (double)number(argc, argv, 2, 6);
    if (argc > 3) wait_for(how, atoi(argv[3]));
    int late = !strncmp(how, "late-", 5);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 0);
    int event = eventfd(0, 0);
    if (fork_or_die() == 0) {
        if (!late) hang_at_most((long)seconds);
        char number[16], fd[16];
        snprintf(number, sizeof number, "%d", (int)seconds);
        snprintf(fd, sizeof fd, "%d", event);
        execl("/proc/self/exe", "started", how, number, fd, NULL);
        check(0, "exec");
    }
    if (!strcmp(how, "late-eventfd")) {
        nap(seconds);
        check(eventfd_write(event, 1) == 0, "write");
    }
    close(event);
    reap();
    return 0;
}

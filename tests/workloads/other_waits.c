/*
 * A lock is held at the fork, but the child waits for something else, which comes after a while.
 * The tracer must say nothing: none of it is a wait for a lock.
 *
 * other_waits WHAT [SECONDS]
 *   WHAT  pipe | socket | poll | eventfd | flock | sigwait | child
 */
#include "common.h"
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *what;
static double seconds;
static int ends[2], event;
static char path[] = "/tmp/forktrace-wait-XXXXXX";

static int is(const char *name) { return !strcmp(what, name); }

static void wait_for_it(void) {
    char bytes[8];
    if (is("pipe") || is("socket")) check(read(ends[0], bytes, 1) == 1, "read");
    if (is("poll")) check(poll(&(struct pollfd){ends[0], POLLIN, 0}, 1, -1) == 1, "poll");
    if (is("eventfd")) check(read(event, bytes, 8) == 8, "read");
    if (is("flock")) check(flock(open(path, O_RDWR), LOCK_EX) == 0, "flock");
    if (is("sigwait")) {
        sigset_t set;
        int signal;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigwait(&set, &signal);
    }
    if (is("child")) {
        if (fork_or_die() == 0) {
            nap(seconds);
            _exit(0);
        }
        reap();
    }
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    what = argv[1];
    seconds = (double)number(argc, argv, 2, 3);
    int made = is("socket") ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : pipe(ends);
    event = eventfd(0, 0);
    int file = mkstemp(path);
    check(made == 0 && event >= 0 && file >= 0, "files");
    check(flock(file, LOCK_EX) == 0, "flock");
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    wait_until_told();
    pthread_mutex_lock(&lock);
    pid_t child = fork_or_die();
    if (child == 0) {
        wait_for_it();
        _exit(0);
    }
    nap(seconds);
    check(write(ends[1], "", 1) == 1 && write(event, "\1\0\0\0\0\0\0", 8) == 8, "write");
    flock(file, LOCK_UN);
    kill(child, SIGUSR1);
    reap();
    unlink(path);
    return 0;
}

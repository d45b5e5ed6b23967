/*
 * The mechanism of https://github.com/lxc/lxc/pull/1319, and of Icinga/icinga-core#375: a log line has the
 * local time in it. A thread is in mktime() at the fork, and so has a lock inside of glibc. The forked
 * monitor has a thread of its own, which waits for commands, when it writes its first line. (A time zone
 * that is a fifo keeps the thread in mktime.)
 * The tracer must say: inherited-lock, beside a living thread.
 *
 * lxc1319 [SECONDS]
 */
#include "../common.h"
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char zone[] = ":/tmp/forktrace-lxc1319-XXXXXX";
static int commands;

static void *logs(void *arg) {
    struct tm noon = {.tm_year = 124, .tm_mday = 1, .tm_hour = 12};
    mktime(&noon);
    return arg;
}

static void *takes_commands(void *arg) {
    for (;;) accept(commands, NULL, NULL);
    return arg;
}

static __attribute__((noinline)) void log_line(void) {
    char text[64];
    struct tm now;
    time_t seconds = time(NULL);
    localtime_r(&seconds, &now);
    strftime(text, sizeof text, "%F %T %Z", &now);
}

int main(int argc, char **argv) {
    int file = mkstemp(zone + 1);
    check(file >= 0 && unlink(zone + 1) == 0 && mkfifo(zone + 1, 0600) == 0, "mkfifo");
    setenv("TZ", zone, 1);
    pthread_t thread;
    start(&thread, logs, NULL);
    nap(0.3);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 1);
    if (fork_or_die() == 0) {
        commands = socket(AF_UNIX, SOCK_STREAM, 0);
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        /* Without a path the kernel gives it a name. */
        check(bind(commands, (struct sockaddr *)&name, sizeof name.sun_family) == 0, "bind");
        check(listen(commands, 1) == 0, "listen");
        start(&thread, takes_commands, NULL);
        hang_at_most(number(argc, argv, 1, 6));
        log_line();
        _exit(98);
    }
    reap();
    unlink(zone + 1);
    _exit(0);
}

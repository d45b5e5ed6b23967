/*
 * A child waits for a TCP connection of this host.
 *
 * tcp HOW [SECONDS]
 * Somebody waits for what nobody can do any more:
 *   circle    the child reads from a connection, and so does its parent, at the other end
 *   self      the child reads from a connection, both ends of which it has alone
 *   full      the child writes more than fits; the parent, who would read, waits for the child's end
 *   mapped    circle, and the server listens for IPv6, too
 * The same with somebody who does it after SECONDS:
 *   late      the parent writes
 *   late-self a thread of the child's own writes
 *   late-full the parent reads
 *   timeout   the child gives up: SO_RCVTIMEO is SECONDS
 */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const char *how;
static double seconds;
/* The two ends. */
static int client, server;

static int is(const char *name) { return !strcmp(how, name); }

/* A server that listens for IPv6 takes connections of IPv4 by mapped addresses. */
static void connect_both(void) {
    int wide = is("mapped");
    int listener = socket(wide ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr *at = wide ? (struct sockaddr *)&any : (struct sockaddr *)&own;
    check(bind(listener, at, wide ? sizeof any : sizeof own) == 0 && listen(listener, 1) == 0, "listen");
    socklen_t size = wide ? sizeof any : sizeof own;
    check(getsockname(listener, at, &size) == 0, "getsockname");
    if (wide) own.sin_port = any.sin6_port;
    client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(connect(client, (struct sockaddr *)&own, sizeof own) == 0, "connect");
    server = accept(listener, NULL, NULL);
    check(server >= 0, "accept");
    close(listener);
}

static void read_one(int fd) {
    char byte;
    check(read(fd, &byte, 1) >= 0 || errno == EAGAIN, "read");
}

static void write_one(int fd) { check(write(fd, "x", 1) == 1, "write"); }

static void write_all(int fd) {
    static char bytes[1 << 20];
    for (int i = 0; i < 32; i++) {
        for (size_t done = 0; done < sizeof bytes;) {
            ssize_t count = write(fd, bytes + done, sizeof bytes - done);
            check(count > 0, "write");
            done += (size_t)count;
        }
    }
}

static void *write_late(void *arg) {
    nap(seconds);
    write_one(server);
    return arg;
}

static void in_child(void) {
    if (is("timeout")) {
        struct timeval time = {(time_t)seconds, 0};
        check(setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time) == 0, "setsockopt");
    }
    pthread_t thread;
    if (is("late-self")) start(&thread, write_late, NULL);
    if (is("full") || is("late-full")) {
        write_all(client);
    } else {
        read_one(client);
    }
    _exit(0);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    how = argv[1];
    seconds = (double)number(argc, argv, 2, 6);
    int own = is("self") || is("late-self");
    int quiet = !strncmp(how, "late", 4) || is("timeout");
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 0);
    if (!own) connect_both();
    if (fork_or_die() == 0) {
        if (own) connect_both();
        if (!own) close(server);
        if (quiet) fact("born", getpid());
        if (!quiet) hang_at_most((long)seconds);
        in_child();
    }
    if (!own) close(client);
    if (is("circle") || is("mapped")) read_one(server);
    if (quiet) nap(is("timeout") ? 0 : seconds);
    if (is("late")) write_one(server);
    if (is("late-full")) {
        char bytes[4096];
        while (read(server, bytes, sizeof bytes) > 0) {
        }
    }
    reap();
    return 0;
}

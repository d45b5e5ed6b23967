/*
 * Forked processes that wait for each other through pipes and sockets.
 *
 * pipes HOW [SECONDS]
 * Somebody waits for what nobody can do any more:
 *   own-end     the child waits for the end of a pipe that nobody but itself has open for writing
 *   siblings    two children, each waits for the end of a pipe that the other has open for writing
 *   sockets     the same with three children and pairs of sockets
 *   leaked      the parent waits for the end of a pipe that an exec'ed grandchild has open, and that hangs:
 *               it waits for the end of its own input, which it has open itself
 *   full        the child writes more than fits; the parent, who would read, waits for the child's end
 *   full-socket the same with a pair of sockets
 *   full-sloppy the same, and the child has the reading end open too
 *   request     the child waits for an answer; the parent, who would give it, waits for the child's end
 *   grandchild  the child waits for its child's end, which waits for what the child would write
 *   chain       three generations: each waits for the next, the last for what the first would write
 * The same with somebody who does it after SECONDS:
 *   late-end, late-siblings, late-full, late-full-socket, late-request, late-grandchild, late-chain
 *   sloppy      both have both ends open; the parent writes
 *   tee         the child copies what the parent writes
 *   tasks       three workers share a pipe of tasks, of which the parent gives one at the end
 */
#include "common.h"
#include <fcntl.h>
#include <sys/socket.h>

static const char *how;
static int late;
static double seconds;

static int is(const char *name) { return !strcmp(how + (late ? 5 : 0), name); }

static void make(int *ends) { check(pipe(ends) == 0, "pipe"); }

static void make_pair(int *ends) { check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair"); }

/* In a child: it hangs, unless somebody helps it late. */
static void stuck(void) {
    if (late) {
        fact("born", getpid());
    } else {
        hang_at_most((long)seconds);
    }
}

static void until_end(int fd) {
    char bytes[4096];
    while (read(fd, bytes, sizeof bytes) > 0) {
    }
}

static void write_all(int fd, size_t size) {
    char *bytes = calloc(1, size);
    for (size_t done = 0; done < size;) {
        ssize_t count = write(fd, bytes + done, size - done);
        check(count > 0, "write");
        done += (size_t)count;
    }
    free(bytes);
}

/* The parent: what it does late, then it waits for its children. */
static void later(void) {
    if (late) nap(seconds);
}

static void own_end(void) {
    int ends[2];
    make(ends);
    if (fork_or_die() == 0) {
        if (late) close(ends[1]);
        stuck();
        until_end(ends[0]);
        _exit(0);
    }
    close(ends[0]);
    later();
    close(ends[1]);
}

/* Each has the writing ends of the others' pipes; late, of the parent's alone. */
static void siblings(int count, void (*make_ends)(int *)) {
    int ends[3][2];
    for (int i = 0; i < count; i++) make_ends(ends[i]);
    for (int i = 0; i < count; i++) {
        if (fork_or_die() != 0) continue;
        for (int j = 0; j < count; j++) {
            if (j != i) close(ends[j][0]);
            if (j == i || late) close(ends[j][1]);
        }
        stuck();
        until_end(ends[i][0]);
        _exit(0);
    }
    for (int i = 0; i < count; i++) close(ends[i][0]);
    later();
    for (int i = 0; i < count; i++) close(ends[i][1]);
}

/* exec'ed: waits for the end of its input, whose writing end it has open too. */
static void daemon_in_exec(void) {
    fact("stuck", getpid());
    until_end(0);
    _exit(0);
}

static void leaked(char **argv) {
    int ends[2], input[2];
    make(ends);
    make(input);
    if (fork_or_die() == 0) {
        if (fork_or_die() != 0) _exit(0);
        dup2(input[0], 0);
        dup2(input[1], 100);
        close(input[0]);
        close(input[1]);
        close(ends[0]);
        end_after((long)seconds);
        execl("/proc/self/exe", argv[0], "in-exec", NULL);
        _exit(97);
    }
    close(ends[1]);
    close(input[0]);
    close(input[1]);
    until_end(ends[0]);
}

static void full(void (*make_ends)(int *), int sloppy) {
    int ends[2];
    make_ends(ends);
    if (fork_or_die() == 0) {
        if (!sloppy) close(ends[0]);
        stuck();
        write_all(ends[1], 1 << 20);
        _exit(0);
    }
    close(ends[1]);
    later();
    if (late) until_end(ends[0]);
}

static void request(void) {
    int to[2], from[2];
    char byte = 0;
    make(to);
    make(from);
    if (fork_or_die() == 0) {
        close(to[1]);
        close(from[0]);
        stuck();
        check(write(from[1], &byte, 1) == 1, "write");
        check(read(to[0], &byte, 1) == 1, "read");
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    later();
    if (late) check(read(from[0], &byte, 1) == 1 && write(to[1], &byte, 1) == 1, "answer");
    reap();
}

/* A child, its child, and so on: the last one reads what the first of them would write. */
static void generations(int count) {
    int ends[2];
    char byte = 0;
    if (fork_or_die() != 0) return;
    make(ends);
    for (int i = 1; i < count; i++) {
        fact("forker", getpid());
        if (fork_or_die() != 0) {
            /* It hangs too, and only because its child does. */
            if (late) fact("born", getpid());
            else end_after((long)seconds);
            if (i == 1 && late) {
                nap(seconds);
                check(write(ends[1], &byte, 1) == 1, "write");
            }
            reap();
            _exit(0);
        }
    }
    close(ends[1]);
    stuck();
    check(read(ends[0], &byte, 1) >= 0, "read");
    _exit(0);
}

static void sloppy(void) {
    int ends[2];
    char byte = 0;
    make(ends);
    if (fork_or_die() == 0) {
        check(read(ends[0], &byte, 1) == 1, "read");
        _exit(0);
    }
    nap(seconds);
    check(write(ends[1], &byte, 1) == 1, "write");
}

static void copy(void) {
    int to[2], from[2];
    make(to);
    make(from);
    if (fork_or_die() == 0) {
        char bytes[64];
        close(to[1]);
        close(from[0]);
        for (ssize_t count; (count = read(to[0], bytes, sizeof bytes)) > 0;) {
            check(write(from[1], bytes, (size_t)count) == count, "write");
        }
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    nap(seconds);
    check(write(to[1], "x", 1) == 1, "write");
    close(to[1]);
    until_end(from[0]);
}

static void tasks(void) {
    int ends[2];
    make(ends);
    for (int i = 0; i < 3; i++) {
        if (fork_or_die() != 0) continue;
        char byte;
        close(ends[1]);
        while (read(ends[0], &byte, 1) == 1) {
        }
        _exit(0);
    }
    close(ends[0]);
    check(write(ends[1], "x", 1) == 1, "write");
    nap(seconds);
    check(write(ends[1], "x", 1) == 1, "write");
    close(ends[1]);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    how = argv[1];
    late = !strncmp(how, "late-", 5);
    seconds = (double)number(argc, argv, 2, 6);
    if (is("in-exec")) daemon_in_exec();
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 0);
    if (is("own-end") || is("end")) own_end();
    if (is("siblings")) siblings(2, make);
    if (is("sockets")) siblings(3, make_pair);
    if (is("leaked")) leaked(argv);
    if (is("full")) full(make, 0);
    if (is("full-socket")) full(make_pair, 0);
    if (is("full-sloppy")) full(make, 1);
    if (is("request")) request();
    if (is("grandchild")) generations(2);
    if (is("chain")) generations(3);
    if (is("sloppy")) sloppy();
    if (is("tee")) copy();
    if (is("tasks")) tasks();
    reap();
    return 0;
}

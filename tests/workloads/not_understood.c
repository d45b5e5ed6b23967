/*
 * A child waits for something of which it is not known who alone could end it.
 *
 * not_understood WHAT HOW [SECONDS]
 *   WHAT  message: in a queue of System V | terminal: data from the master of a pseudo-terminal |
 *         ofd: a lock that belongs to an open file of the parent
 *   HOW   late: the parent ends the wait after SECONDS | hang: the parent waits for the child
 */
#include "common.h"
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>

static const char *what;
static int queue = -1, master = -1, held = -1;
static char path[] = "/tmp/forktrace-ofd-XXXXXX";

static int is(const char *name) { return !strcmp(what, name); }

static int lock(int file, short type) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
    return fcntl(file, F_OFD_SETLKW, &lock);
}

static void make(void) {
    if (is("message")) queue = msgget(IPC_PRIVATE, 0600);
    if (is("terminal")) {
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
        check(grantpt(master) == 0 && unlockpt(master) == 0, "terminal");
    }
    if (is("ofd")) {
        held = mkostemp(path, O_CLOEXEC);
        check(held >= 0 && lock(held, F_WRLCK) == 0, "lock");
    }
}

static void wait_for_it(int slave) {
    struct {
        long type;
        char byte;
    } message;
    char byte;
    if (is("message")) check(msgrcv(queue, &message, 1, 0, 0) >= 0, "msgrcv");
    if (is("terminal")) check(read(slave, &byte, 1) >= 0, "read");
    if (is("ofd")) {
        close(held);
        check(lock(open(path, O_RDWR | O_CLOEXEC), F_WRLCK) == 0, "lock");
    }
}

static void end_it(void) {
    struct {
        long type;
        char byte;
    } message = {1, 0};
    if (is("message")) check(msgsnd(queue, &message, 1, 0) == 0, "msgsnd");
    if (is("terminal")) check(write(master, "x\n", 2) == 2, "write");
    if (is("ofd")) lock(held, F_UNLCK);
}

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    what = argv[1];
    int late = !strcmp(argv[2], "late");
    double seconds = (double)number(argc, argv, 3, 6);
    make();
    int slave = is("terminal") ? open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC) : -1;
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 0);
    if (fork_or_die() == 0) {
        if (master >= 0) close(master);
        if (late) fact("born", getpid());
        if (!late) hang_at_most((long)seconds);
        wait_for_it(slave);
        _exit(0);
    }
    if (late) {
        nap(seconds);
        end_it();
    }
    reap();
    if (queue >= 0) msgctl(queue, IPC_RMID, NULL);
    if (held >= 0) unlink(path);
    return 0;
}

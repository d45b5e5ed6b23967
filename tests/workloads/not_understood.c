/*
 * A child waits for something of which it is not known who alone could end it.
 *
 * not_understood WHAT HOW [SECONDS]
 *   WHAT  message: in a queue of System V | terminal: data from the master of a pseudo-terminal |
 *         ofd: a lock that belongs to an open file of the parent | ring: a request of an io_uring, to read from
 *         a pipe of the parent | taken: data from a pipe, whose other end is in a message to the parent
 *   HOW   late: the parent ends the wait after SECONDS | hang: the parent waits for the child
 */
#include "common.h"
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static const char *what;
static int queue = -1, master = -1, held = -1;
static int ends[2] = {-1, -1}, pair[2] = {-1, -1};
static char path[] = "/tmp/forktrace-ofd-XXXXXX";

static int is(const char *name) { return !strcmp(what, name); }

static int lock(int file, short type) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
    return fcntl(file, F_OFD_SETLKW, &lock);
}

/* Reads a byte by a ring, and waits for that. */
static void read_by_ring(int fd) {
    struct io_uring_params params = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 1, &params);
    check(ring >= 0, "io_uring_setup");
    size_t size = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    char *queue = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    size = params.sq_entries * sizeof(struct io_uring_sqe);
    struct io_uring_sqe *entry = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    check(queue != MAP_FAILED && (void *)entry != MAP_FAILED, "mmap");
    static char byte;
    *entry = (struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = fd, .addr = (unsigned long)&byte, .len = 1};
    *(unsigned *)(queue + params.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(queue + params.sq_off.tail), 1, __ATOMIC_RELEASE);
    check(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1, "io_uring_enter");
}

/* Sends a descriptor, or takes it. */
static int pass(int fd, int sends) {
    char byte = 0, room[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    *header = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    ssize_t done = sends ? sendmsg(pair[0], &message, 0) : recvmsg(pair[1], &message, 0);
    check(done == 1, "message");
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return fd;
}

static void make(void) {
    if (is("ring") || is("taken")) check(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    if (is("taken")) check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
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
    if (is("ring")) read_by_ring(ends[0]);
    if (is("taken")) check(read(ends[0], &byte, 1) >= 0, "read");
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
    if (is("taken")) ends[1] = pass(-1, 0);
    if (is("ring") || is("taken")) check(write(ends[1], "x", 1) == 1, "write");
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
        if (ends[1] >= 0) close(ends[1]);
        if (is("taken")) {
            close(pair[0]);
            close(pair[1]);
        }
        if (late) fact("born", getpid());
        if (!late) hang_at_most((long)seconds);
        wait_for_it(slave);
        _exit(0);
    }
    if (is("taken")) {
        pass(ends[1], 1);
        close(ends[1]);
        close(ends[0]);
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

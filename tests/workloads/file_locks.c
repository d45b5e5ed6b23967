/*
 * Processes of a fork family and a lock on a file.
 *
 * file_locks WHAT
 */
#include "common.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>

static char path[64] = "/tmp/forktrace-lock-XXXXXX";

static int opened(void) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    check(fd >= 0, "open");
    return fd;
}

static void also(pid_t pid) {
    check(dprintf(1, "also=%d %d\n", getpid(), pid) > 0, "saying a fact");
}

static void unlock(int fd) { check(flock(fd, LOCK_UN) == 0, "LOCK_UN"); }

/* The child's exit handler gives back what its parent has. */
static int kept_fd;
static void at_exit(void) { unlock(kept_fd); }

static void released_at_exit(void) {
    fact("stuck", getpid());
    kept_fd = opened();
    flock(kept_fd, LOCK_EX);
    atexit(at_exit);
    pid_t child = fork_or_die();
    if (child == 0) exit(0);
    also(child);
    waitpid(child, NULL, 0);
    nap(0.5);
}

/* daemon(3) after lockf(3): the lock ends with the parent. */
static void daemon_after_lockf(void) {
    pid_t middle = fork_or_die();
    if (middle == 0) {
        int fd = opened();
        check(lockf(fd, F_TLOCK, 0) == 0, "lockf");
        check(daemon(0, 1) == 0, "daemon");
        fact("stuck", getpid());
        check(dprintf(fd, "%d\n", getpid()) > 0, "writing the pid");
        nap(3);
        _exit(0);
    }
    waitpid(middle, NULL, 0);
    nap(3.4);
}

/* The same, and it takes the lock when it is the daemon. */
static void daemon_before_lockf(void) {
    pid_t middle = fork_or_die();
    if (middle == 0) {
        check(daemon(0, 1) == 0, "daemon");
        int fd = opened();
        check(lockf(fd, F_TLOCK, 0) == 0, "lockf");
        check(dprintf(fd, "%d\n", getpid()) > 0, "writing the pid");
        nap(2.5);
        _exit(0);
    }
    waitpid(middle, NULL, 0);
    nap(2.9);
}

/* A child asks for the byte range by the inherited description, and gives the parent's back. */
static void released_range(void) {
    fact("stuck", getpid());
    int fd = opened();
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 10};
    check(fcntl(fd, F_OFD_SETLK, &lock) == 0, "F_OFD_SETLK");
    pid_t child = fork_or_die();
    if (child == 0) {
        lock.l_type = F_UNLCK;
        lock.l_start = lock.l_len = 0;
        check(fcntl(fd, F_OFD_SETLK, &lock) == 0, "F_OFD_SETLK");
        _exit(0);
    }
    also(child);
    nap(2.5);
    waitpid(child, NULL, 0);
}

/* Another byte range than the parent's. */
static void other_range(void) {
    int fd = opened();
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 100, .l_len = 10};
    check(fcntl(fd, F_OFD_SETLK, &lock) == 0, "F_OFD_SETLK");
    pid_t child = fork_or_die();
    if (child == 0) {
        lock.l_start = 200;
        check(fcntl(fd, F_OFD_SETLK, &lock) == 0, "F_OFD_SETLK");
        lock.l_type = F_UNLCK;
        check(fcntl(fd, F_OFD_SETLK, &lock) == 0, "F_OFD_SETLK");
        _exit(0);
    }
    waitpid(child, NULL, 0);
    nap(2);
}

/* The child has its own description of the file. */
static void opened_by_child(void) {
    int fd = opened();
    flock(fd, LOCK_SH);
    pid_t child = fork_or_die();
    if (child == 0) {
        int own = opened();
        flock(own, LOCK_SH);
        unlock(own);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    nap(2);
    unlock(fd);
}

/* A thread takes the lock, another one gives it back. */
static void *unlocks(void *fd) {
    unlock(*(int *)fd);
    return NULL;
}

static void threads(void) {
    int fd = opened();
    pid_t child = fork_or_die();
    if (child == 0) {
        nap(0.5);
        _exit(0);
    }
    flock(fd, LOCK_EX);
    pthread_t thread;
    check(pthread_create(&thread, NULL, unlocks, &fd) == 0, "pthread_create");
    pthread_join(thread, NULL);
    flock(fd, LOCK_EX);
    waitpid(child, NULL, 0);
    unlock(fd);
}

/* One process gives its locked descriptor to another one, and closes its own. */
static void passed(void) {
    int ends[2];
    check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0, "socketpair");
    pid_t child = fork_or_die();
    char space[CMSG_SPACE(sizeof(int))] = {0}, byte = 'x';
    struct iovec part = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    if (child == 0) {
        check(recvmsg(ends[1], &message, 0) == 1, "recvmsg");
        int fd;
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
        nap(0.3);
        unlock(fd);
        nap(2);
        _exit(0);
    }
    int fd = opened();
    flock(fd, LOCK_EX);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    check(sendmsg(ends[0], &message, 0) == 1, "sendmsg");
    close(fd);
    waitpid(child, NULL, 0);
}

/* The parent ends while it has the lock; nobody wants it. */
static void kept_and_not_wanted(void) {
    pid_t middle = fork_or_die();
    if (middle == 0) {
        int fd = opened();
        flock(fd, LOCK_EX);
        if (fork_or_die() == 0) {
            nap(1.5);
            _exit(0);
        }
        nap(0.2);
        _exit(0);
    }
    waitpid(middle, NULL, 0);
    nap(1.8);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {
        {"released_at_exit", released_at_exit},
        {"daemon_after_lockf", daemon_after_lockf},
        {"daemon_before_lockf", daemon_before_lockf},
        {"released_range", released_range},
        {"other_range", other_range},
        {"opened_by_child", opened_by_child},
        {"threads", threads},
        {"passed", passed},
        {"kept_and_not_wanted", kept_and_not_wanted},
    };
    check(argc == 2, "an argument");
    pid_t main_pid = getpid();
    int fd = mkstemp(path);
    check(fd >= 0, "mkstemp");
    close(fd);
    for (size_t at = 0; at < sizeof all / sizeof *all; at++) {
        if (strcmp(all[at].name, argv[1]) == 0) all[at].run();
    }
    if (getpid() == main_pid) unlink(path);
    return 0;
}

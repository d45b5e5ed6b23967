/*
 * Forked processes that wait for what somebody does late, who is hard to find.
 *
 * unseen_ends WHERE [SECONDS]
 *   WHERE  leader   a thread of the parent, whose first thread has ended, gives back a semaphore
 *          mutex    the same thread has a mutex in shared memory
 *          table    a thread of the parent has a table of file descriptors of its own, and in it the end of a pipe
 *          closed   the first thread of the parent has a table of its own, and closed all in it
 *          ring     the end is registered with an io_uring of the parent
 *          memory   two processes run in the child's memory: one waits for a semaphore that the other gives back
 * The child has the end of its pipe too, and does not use it.
 */
#include "common.h"
#include <fcntl.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>

static const char *where;
static double seconds;
static int ends[2];
static sem_t *semaphore;
static pthread_mutex_t *mutex;
static sem_t of_memory;

static int is(const char *name) { return !strcmp(where, name); }

static void reader(void) {
    uint64_t bytes;
    if (fork_or_die() != 0) return;
    fact("born", getpid());
    check(read(ends[0], &bytes, sizeof bytes) > 0, "read");
    _exit(0);
}

static void write_late(int fd) {
    uint64_t bytes = 1;
    nap(seconds);
    check(write(fd, &bytes, sizeof bytes) == sizeof bytes, "write");
}

static void share(void) {
    char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED, "mmap");
    semaphore = (sem_t *)memory;
    mutex = (pthread_mutex_t *)(memory + 1024);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(mutex, &attributes);
    sem_init(semaphore, 1, 0);
}

static void *gives_back(void *unused) {
    (void)unused;
    if (is("mutex")) check(pthread_mutex_lock(mutex) == 0, "lock");
    if (fork_or_die() == 0) {
        fact("born", getpid());
        if (is("mutex")) check(pthread_mutex_lock(mutex) == 0, "lock");
        else check(sem_wait(semaphore) == 0, "sem_wait");
        _exit(0);
    }
    nap(seconds);
    if (is("mutex")) pthread_mutex_unlock(mutex);
    else sem_post(semaphore);
    reap();
    exit(0);
}

static void without_leader(void) {
    pthread_t thread;
    share();
    start(&thread, gives_back, NULL);
    pthread_exit(NULL);
}

static void *writes(void *unused) {
    (void)unused;
    if (is("table")) check(unshare(CLONE_FILES) == 0, "unshare");
    write_late(ends[1]);
    return NULL;
}

static void another_table(void) {
    pthread_t thread;
    start(&thread, writes, NULL);
    nap(0.3);
    if (is("closed")) check(unshare(CLONE_FILES) == 0, "unshare");
    close(ends[0]);
    close(ends[1]);
    pthread_join(thread, NULL);
}

/* Where io_uring is not allowed: the parent keeps the end. */
static void in_ring(void) {
    struct io_uring_params how = {0};
    int ring = (int)syscall(SYS_io_uring_setup, 4, &how);
    if (ring < 0) {
        write_late(ends[1]);
        return;
    }
    check(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &ends[1], 1) == 0, "register");
    close(ends[0]);
    close(ends[1]);
    size_t size = how.sq_off.array + how.sq_entries * sizeof(unsigned);
    char *queue = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry = mmap(NULL, how.sq_entries * sizeof *entry, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    check(queue != MAP_FAILED && entry != MAP_FAILED, "mmap");
    nap(seconds);
    *entry = (struct io_uring_sqe){.opcode = IORING_OP_WRITE, .flags = IOSQE_FIXED_FILE, .addr = (uintptr_t)"x", .len = 1};
    *(unsigned *)(queue + how.sq_off.array) = 0;
    __atomic_fetch_add((unsigned *)(queue + how.sq_off.tail), 1, __ATOMIC_RELEASE);
    check(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1, "enter");
}

static int waits_in_memory(void *unused) {
    (void)unused;
    while (sem_wait(&of_memory) != 0) {
    }
    syscall(SYS_exit_group, 0);
    return 0;
}

static int posts_in_memory(void *unused) {
    (void)unused;
    nap(seconds);
    sem_post(&of_memory);
    syscall(SYS_exit_group, 0);
    return 0;
}

static void in_memory(void) {
    static char stacks[2][1 << 16] __attribute__((aligned(16)));
    if (fork_or_die() != 0) return;
    fact("born", getpid());
    sem_init(&of_memory, 0, 0);
    pid_t waiter = clone(waits_in_memory, stacks[0] + sizeof stacks[0], CLONE_VM | SIGCHLD, NULL);
    check(waiter > 0, "clone");
    check(clone(posts_in_memory, stacks[1] + sizeof stacks[1], CLONE_VM | SIGCHLD, NULL) > 0, "clone");
    check(waitpid(waiter, NULL, 0) == waiter, "waitpid");
    reap();
    _exit(0);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    where = argv[1];
    seconds = (double)number(argc, argv, 2, 6);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 0);
    if (is("leader") || is("mutex")) without_leader();
    if (is("memory")) {
        in_memory();
        reap();
        return 0;
    }
    check(pipe(ends) == 0, "pipe");
    reader();
    if (is("table") || is("closed")) another_table();
    if (is("ring")) in_ring();
    reap();
    return 0;
}

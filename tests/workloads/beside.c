/*
 * A child whose other thread lives on wants a lock that names no owner.
 *
 * beside LOCK HELD OTHER [SECONDS]
 *   LOCK   zone: glibc's own, over the time zone: held by who reads the zone file, a fifo that nobody
 *          writes to; reader: a pthread_rwlock_t held for reading and wanted for writing; mutex: a
 *          normal mutex, which in musl's case names no owner; files: glibc's own, over the list of
 *          files: held by who flushes all of them, of which one is a full pipe
 *   HELD   lost: by a thread of the parent, for ever. The child hangs, and the tracer must say:
 *          inherited-lock, certain
 *          child: by a thread of the child, which has it for some seconds. Free at the fork (of files:
 *          held by fork itself). The tracer must say nothing, or suspect
 *          again: the forking thread has it at the fork, its heir gives it back at once, and the
 *          child's other thread has it for some seconds. The tracer may suspect
 *          beside: as again, and something beside it is written before
 *   OTHER  what the child's other thread does, if it does not hold the lock: idle, poll, busy,
 *          condition; worker: the forking thread's heir is idle, and another thread wants the lock;
 *          handler: idle, and a handler of SIGALRM could run
 */
#include "common.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

/* In a page of their own. */
static struct {
    pthread_rwlock_t rwlock;
    pthread_mutex_t mutex;
    volatile int neighbour;
} *page;
static pthread_mutex_t own = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static char fifo[] = "/tmp/forktrace-beside-XXXXXX", zone[48];
static const char *lock, *other;
static atomic_int held, told;
static int ends[2];
static double seconds = 1000;

static int is(const char *name) { return !strcmp(lock, name); }

static void take(int wanted) {
    if (is("zone")) {
        time_t now = 0;
        struct tm tm;
        localtime_r(&now, &tm);
    } else if (is("files")) {
        wanted ? (void)fclose(fopen("/dev/null", "r")) : (void)fflush(NULL);
    } else if (is("mutex")) {
        pthread_mutex_lock(&page->mutex);
    } else if (wanted) {
        pthread_rwlock_wrlock(&page->rwlock);
    } else {
        pthread_rwlock_rdlock(&page->rwlock);
    }
}

static void give_back(void) {
    if (is("mutex")) pthread_mutex_unlock(&page->mutex);
    if (is("reader")) pthread_rwlock_unlock(&page->rwlock);
}

static void *hold(void *arg) {
    (void)arg;
    held = is("zone") || is("files");
    take(0);
    held = 1;
    nap(seconds);
    give_back();
    return NULL;
}

static void *rest(void *arg) {
    (void)arg;
    told = 1;
    if (!strcmp(other, "condition")) {
        pthread_mutex_lock(&own);
        for (;;) pthread_cond_wait(&condition, &own);
    }
    while (!strcmp(other, "poll")) poll(NULL, 0, 100);
    for (volatile int turns = 0; !strcmp(other, "busy");) turns = !turns;
    for (;;) pause();
    return NULL;
}

static void *want(void *arg) {
    (void)arg;
    take(1);
    give_back();
    return NULL;
}

static void handle(int signal) { (void)signal; }

static void hold_in_a_thread(void) {
    pthread_t thread;
    start(&thread, hold, NULL);
    while (!held) nap(0.01);
    nap(0.2);
}

static void *want_and_tell(void *unused) {
    dprintf(1, "stuck=%d %d\n", getpid(), gettid());
    return want(unused);
}

static void child(const char *how) {
    pthread_t thread;
    if (!strcmp(how, "beside")) page->neighbour = 1;
    if (!strcmp(how, "again") || !strcmp(how, "beside")) give_back();
    if (strcmp(how, "lost") != 0) {
        hold_in_a_thread();
        want(NULL);
        _exit(0);
    }
    if (!strcmp(other, "handler")) signal(SIGALRM, handle);
    start(&thread, strcmp(other, "worker") ? rest : want_and_tell, NULL);
    while (strcmp(other, "worker") && !told) nap(0.001);
    if (strcmp(other, "worker")) want(NULL);
    for (;;) pause();
}

/* Lets the child's holder go on. */
static void feed(void) {
    nap(seconds);
    if (is("zone")) {
        int fd = open(zone, O_WRONLY | O_NONBLOCK);
        if (fd >= 0) close(fd);
    }
    static char drained[1 << 17];
    if (is("files")) check(read(ends[0], drained, sizeof drained) > 0, "read");
}

int main(int argc, char **argv) {
    check(argc >= 4, "usage");
    lock = argv[1];
    other = argv[3];
    const char *how = argv[2];
    int hangs = !strcmp(how, "lost");
    check(mkdtemp(fifo) != NULL, "mkdtemp");
    snprintf(zone, sizeof zone, "%s/zone", fifo);
    check(mkfifo(zone, 0600) == 0 && pipe(ends) == 0, "mkfifo");
    if (is("zone")) setenv("TZ", zone, 1);
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(page != MAP_FAILED, "mmap");
    pthread_rwlock_init(&page->rwlock, NULL);
    pthread_mutex_init(&page->mutex, NULL);
    wait_until_told();
    if (hangs) hold_in_a_thread();
    if (!hangs) seconds = (double)number(argc, argv, 4, 3);
    if (!strcmp(how, "again") || !strcmp(how, "beside")) take(0);
    pid_t pid = fork_or_die();
    if (pid == 0) {
        if (is("files")) {
            char bytes[4096] = {0};
            FILE *file = fdopen(ends[1], "w");
            fcntl(ends[1], F_SETFL, O_NONBLOCK);
            while (write(ends[1], bytes, sizeof bytes) > 0) {
            }
            fcntl(ends[1], F_SETFL, 0);
            check(file != NULL && fwrite(bytes, 1, 10, file) == 10, "fwrite");
        }
        // Where a thread of the child wants the lock, that thread says so.
        if (hangs && strcmp(other, "worker") != 0) fact("stuck", getpid());
        child(how);
    }
    if (hangs) {
        fact("forker", getpid());
        fact("lost", 1);
        long left = number(argc, argv, 4, 6);
        const char *least = getenv("WORKLOAD_SECONDS");
        if (least != NULL && atol(least) > left) left = atol(least);
        nap((double)left);
        kill(pid, SIGKILL);
    } else {
        feed();
    }
    reap();
    unlink(zone);
    rmdir(fifo);
    return 0;
}

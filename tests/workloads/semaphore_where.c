/*
 * A semaphore used as a lock is at zero when the child is forked; the child waits for it and hangs.
 * The tracer must say: inherited-lock, a semaphore; how surely depends.
 *
 * semaphore_where WHERE [SECONDS]
 *   WHERE  static: zero in static memory is no proof that it is a semaphore's, but the parent posts it
 *          before it writes to that page otherwise; beside: the same, but the parent writes beside it
 *          first; anonymous: as static, in mapped memory; first: the same at the first byte of the
 *          mapping; handler: on the heap, and a handler of SIGTERM might post it, for all the tracer
 *          knows; waiters: on the heap, and two threads of the child, all that it has, wait for it
 */
#include "common.h"

/* A page of its own: the dynamic linker's tables, which it writes at the first call of a function, are
 * next to static memory. */
static union {
    struct {
        sem_t lock;
        volatile int beside;
    };
    char page[4096];
} in_static_memory __attribute__((aligned(4096)));

static void ignore(int signal) { (void)signal; }

static void *hang(void *lock) {
    dprintf(1, "stuck=%d %d\n", getpid(), gettid());
    sem_wait(lock);
    _exit(98);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    const char *where = argv[1];
    int beside = !strcmp(where, "beside");
    int in_static = beside || !strcmp(where, "static");
    sem_t *lock = in_static ? &in_static_memory.lock : malloc(sizeof *lock);
    if (!strcmp(where, "anonymous")) {
        char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(page != MAP_FAILED, "mmap");
        lock = (sem_t *)(page + 256);
    }
    if (!strcmp(where, "first")) {
        char *pages = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(pages != MAP_FAILED, "mmap");
        lock = (sem_t *)(pages + 4096);
        check(mprotect(lock, 4096, PROT_READ | PROT_WRITE) == 0, "mprotect");
    }
    check(lock != NULL && sem_init(lock, 0, 1) == 0, "sem_init");
    wait_until_told();
    sem_wait(lock);
    fact("forker", getpid());
    fact("lost", 0);
    if (fork_or_die() == 0) {
        alarm((unsigned)number(argc, argv, 2, 6));
        if (!strcmp(where, "handler")) signal(SIGTERM, ignore);
        pthread_t thread;
        if (!strcmp(where, "waiters")) start(&thread, hang, lock);
        hang(lock);
    }
    if (beside) in_static_memory.beside = 1;
    sem_post(lock);
    reap();
    return 0;
}

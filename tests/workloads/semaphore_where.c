/*
 * A semaphore used as a lock is at zero when the child is forked; the child waits for it and hangs.
 * The tracer must say: inherited-lock, a semaphore; how surely depends.
 *
 * semaphore_where WHERE [SECONDS]
 *   WHERE  static: zero in static memory is no proof that it is a semaphore's, unless the parent posts
 *          it before it writes to that page otherwise; anonymous: the same in mapped memory; handler: on the heap, and a handler of SIGTERM might post it, for all
 *          the tracer knows; waiters: on the heap, and two threads of the child, all that it has,
 *          wait for it
 */
#include "common.h"

static sem_t in_static_memory;

static void ignore(int signal) { (void)signal; }

static void *hang(void *lock) {
    dprintf(1, "stuck=%d %d\n", getpid(), gettid());
    sem_wait(lock);
    _exit(98);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    const char *where = argv[1];
    sem_t *lock = !strcmp(where, "static") ? &in_static_memory : malloc(sizeof *lock);
    if (!strcmp(where, "anonymous")) {
        char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(page != MAP_FAILED, "mmap");
        lock = (sem_t *)(page + 256);
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
    sem_post(lock);
    reap();
    return 0;
}

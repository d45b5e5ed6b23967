/*
 * A mutex lies in this or that kind of memory and is held by the forking thread at the fork; the
 * child locks it and hangs.
 * The tracer must say: inherited-lock, certain, a glibc mutex.
 *
 * inherited_where WHERE [SECONDS]
 *   WHERE  stack | thread-stack | tls | heap | large-heap | anonymous | file: on the stack of the
 *          main thread or of the thread that forks, in thread local memory, in a small or large
 *          block of malloc, in private anonymous memory, in a private mapping of a file
 */
#include "common.h"
#include <fcntl.h>

static const char *where;
static long seconds;
static __thread pthread_mutex_t thread_local_lock = PTHREAD_MUTEX_INITIALIZER;

static void *map_file(void) {
    char path[] = "/tmp/forktrace-lock-XXXXXX";
    int file = mkstemp(path);
    check(file >= 0 && unlink(path) == 0 && ftruncate(file, 4096) == 0, "file");
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
}

static pthread_mutex_t *place(pthread_mutex_t *on_stack) {
    if (strstr(where, "stack")) return on_stack;
    if (!strcmp(where, "tls")) return &thread_local_lock;
    if (!strcmp(where, "heap")) return malloc(sizeof *on_stack);
    if (!strcmp(where, "large-heap")) return malloc(1 << 22);
    if (!strcmp(where, "file")) return map_file();
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *fork_and_hang(void *arg) {
    (void)arg;
    pthread_mutex_t on_stack, *lock = place(&on_stack);
    check(lock != NULL && lock != MAP_FAILED, "memory");
    pthread_mutex_init(lock, NULL);
    pthread_mutex_lock(lock);
    fact("forker", getpid());
    fact("holder", gettid());
    fact("lost", gettid() != getpid());
    if (fork_or_die() == 0) {
        hang_at_most(seconds);
        pthread_mutex_lock(lock);
        _exit(98);
    }
    pthread_mutex_unlock(lock);
    reap();
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    where = argv[1];
    seconds = number(argc, argv, 2, 6);
    wait_until_told();
    if (strcmp(where, "thread-stack")) {
        fork_and_hang(NULL);
        return 0;
    }
    pthread_t thread;
    start(&thread, fork_and_hang, NULL);
    pthread_join(thread, NULL);
    return 0;
}

/*
 * The mechanism of https://github.com/unbit/uwsgi/issues/1369: the master of a prefork server runs a
 * thread of Python and forks its workers from C, without the interpreter's own handlers. The thread
 * has the interpreter's lock at that moment, and each worker waits for it for ever, all on the one
 * address that they inherited. The lock is a semaphore on the heap, as it was up to Python 3.1.
 * The tracer must say: inherited-lock, certain, of each worker, and that it is one fault in all.
 *
 * uwsgi1369 WORKERS [SECONDS]
 */
#include "../common.h"

static sem_t *interpreter_lock;
static atomic_int running;

static void *python_thread(void *arg) {
    (void)arg;
    pthread_setname_np(pthread_self(), "busy-loop");
    sem_wait(interpreter_lock);
    running = 1;
    for (;;) nap(1);
    return NULL;
}

static __attribute__((noinline)) void acquire_interpreter(void) { sem_wait(interpreter_lock); }

static __attribute__((noinline)) void run_worker(void) {
    acquire_interpreter();
    _exit(98);
}

int main(int argc, char **argv) {
    interpreter_lock = malloc(sizeof *interpreter_lock);
    check(interpreter_lock != NULL && sem_init(interpreter_lock, 0, 1) == 0, "sem_init");
    pthread_setname_np(pthread_self(), "uwsgi");
    wait_until_told();
    pthread_t thread;
    start(&thread, python_thread, NULL);
    while (!running) nap(0.01);
    fact("forker", getpid());
    fact("lost", 1);
    for (long workers = number(argc, argv, 1, 4); workers > 0; workers--) {
        if (fork_or_die() != 0) continue;
        hang_at_most(number(argc, argv, 2, 6));
        run_worker();
    }
    reap();
    return 0;
}

/*
 * A semaphore is at zero at the fork; the child, which has one thread, waits for it, and after a
 * while something outside of that thread's own code posts it. The tracer may suspect, and must not
 * say more: nothing tells beforehand that it will be posted, but something could.
 *
 * released_by WHAT [SECONDS]
 *   WHAT  alarm: the handler of its own SIGALRM; timer: a POSIX timer that runs a thread; signal:
 *         the handler of a signal that its parent sends; jump: nobody posts it, but the handler of
 *         SIGALRM leaves the wait by siglongjmp
 */
#include "common.h"
#include <setjmp.h>

static sem_t *lock;
static sigjmp_buf out;

static void post(int signal) {
    (void)signal;
    sem_post(lock);
}

static void leave(int signal) { siglongjmp(out, signal); }

static void post_in_thread(union sigval value) {
    (void)value;
    sem_post(lock);
}

static void set_timer(long seconds) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD};
    event.sigev_notify_function = post_in_thread;
    timer_t timer;
    check(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
    timer_settime(timer, 0, &(struct itimerspec){.it_value.tv_sec = seconds}, NULL);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    const char *what = argv[1];
    long seconds = number(argc, argv, 2, 3);
    lock = malloc(sizeof *lock);
    check(lock != NULL && sem_init(lock, 0, 0) == 0, "sem_init");
    wait_until_told();
    pid_t child = fork_or_die();
    if (child == 0) {
        int jumps = !strcmp(what, "jump");
        signal(SIGALRM, jumps ? leave : post);
        signal(SIGUSR1, post);
        if (!strcmp(what, "alarm") || jumps) alarm((unsigned)seconds);
        if (!strcmp(what, "timer")) set_timer(seconds);
        if (sigsetjmp(out, 1) != 0) _exit(0);
        while (sem_wait(lock) != 0) {
        }
        _exit(0);
    }
    nap((double)seconds);
    if (!strcmp(what, "signal")) kill(child, SIGUSR1);
    reap();
    return 0;
}

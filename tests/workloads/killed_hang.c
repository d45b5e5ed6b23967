/*
 * A child hangs on an inherited mutex. Its parent kills it, as a supervisor would, and takes notice of
 * its end only later: until then it is a zombie. The tracer must not say that no child hangs.
 *
 * killed_hang [SECONDS [ticks]]   after so many the child is killed; ticks: a timer interrupts its wait
 *                                 fifty times a second, which goes on after each
 */
#include "common.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_int held;

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    held = 1;
    for (;;) nap(1);
    return NULL;
}

static void tick(int signal) { (void)signal; }

static void start_ticks(void) {
    struct sigaction action = {.sa_handler = tick, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec often = {{0, 20000000}, {0, 20000000}};
    timer_t timer;
    check(sigaction(SIGUSR1, &action, NULL) == 0, "sigaction");
    check(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0, "timer_create");
    check(timer_settime(timer, 0, &often, NULL) == 0, "timer_settime");
}

int main(int argc, char **argv) {
    pthread_t thread;
    start(&thread, hold, NULL);
    while (!held) nap(0.001);
    pid_t child = fork_or_die();
    if (child == 0) {
        hang_at_most(20);
        if (argc > 2) start_ticks();
        pthread_mutex_lock(&lock);
        _exit(98);
    }
    nap((double)number(argc, argv, 1, 3));
    check(kill(child, SIGKILL) == 0, "kill");
    nap(2);
    reap();
    return 0;
}

/*
 * A child goes on with a library whose threads it does not have.
 *
 * lost_threads HOW [SECONDS]
 *   destroy       it destroys a condition variable for which a lost thread waits
 *   cond, sem     it waits for a lost thread's signal or post
 *   team          three threads of its own and its first one wait for a lost thread's signal
 *   queue         it puts tasks into a queue for a lost thread until the queue is full
 *   ghost         a pool of its own on the condition of the lost one: the signal goes to the waiter that
 *                 was lost, and all wait
 *   parent-gone   like cond, and the parent ends
 *   flush         waits of 100 ms for a lost thread's signal, in a loop
 *   flush-slow    the same, waits of 1 s
 *   flush-sem     the same with sem_timedwait, 200 ms
 *   flush-poll    the same with poll on a pipe to which the lost thread would write, 100 ms
 *   flush-work    like flush, for a task that it has put into the lost thread's queue
 *   timed-lock    it tries for a lock that a lost thread has, 100 ms at a time, and writes a byte to a file each
 *                 time
 *   spin          it yields until a lost thread sets a flag
 * Every wait ends:
 *   join, thrd    it joins a thread that it does not have; glibc's fork has marked it as ended
 *   exit          the same in a handler of atexit, which first tells the threads to stop
 *   flush-ends    like flush, and a thread of the child's own signals after SECONDS
 *   beats         waits of 1 s for a request to stop, which SIGTERM brings after SECONDS; every time it
 *                 writes a byte to a file
 *   beats-idle    the same without writing
 *   ticks         waits of 1 s for a lost thread's signal, until SECONDS are over by the clock
 *   watches       the same until there is a file, which the parent makes after SECONDS
 *   team-ends     like team, and a fourth thread signals after SECONDS
 *   pool          three threads of the child's own rest on a condition until it tells them to stop
 *   pool-queue    a pool of the child's own, which gets a task after SECONDS
 *   spin-ends     like spin, and a thread of the child's own sets the flag after SECONDS
 *   restarted     a handler of pthread_atfork starts the lost thread again
 */
#include "common.h"
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>
#include <threads.h>

enum { ROOM = 8 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t task = PTHREAD_COND_INITIALIZER, done = PTHREAD_COND_INITIALIZER;
static sem_t finished;
static int tasks, is_done, stops;
static atomic_int flag;
static volatile sig_atomic_t told;
static const char *how;
static double seconds;
static pthread_t worker;
/* The lost thread would write to it, once it has done a task. */
static int ends[2];
static thrd_t other;
/* The lost thread has it. */
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;
static char file[64];

static int is(const char *name) { return !strcmp(how, name); }

/* The thread of the library: it takes tasks, and says when it has done one. */
static void *work(void *arg) {
    (void)arg;
    if (is("timed-lock")) pthread_mutex_lock(&held);
    pthread_mutex_lock(&lock);
    for (;;) {
        while (tasks == 0 && !stops) pthread_cond_wait(&task, &lock);
        if (tasks == 0) break;
        tasks--;
        is_done = 1;
        atomic_store(&flag, 1);
        sem_post(&finished);
        check(write(ends[1], "", 1) == 1, "write");
        pthread_cond_broadcast(&done);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static int work_in_thrd(void *arg) { return work(arg) != NULL; }

static void submit(int most) {
    pthread_mutex_lock(&lock);
    while (tasks >= most) pthread_cond_wait(&done, &lock);
    tasks++;
    pthread_cond_signal(&task);
    pthread_mutex_unlock(&lock);
}

static void wait_done(void) {
    pthread_mutex_lock(&lock);
    while (!is_done) pthread_cond_wait(&done, &lock);
    pthread_mutex_unlock(&lock);
}

/* A thread that hangs beside the one that is named. */
static void *waits(void *arg) {
    dprintf(1, "also=%d %d\n", getpid(), gettid());
    wait_done();
    return arg;
}

static struct timespec in(double later) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    long ns = at.tv_nsec + (long)(later * 1e9);
    return (struct timespec){at.tv_sec + ns / 1000000000, ns % 1000000000};
}

static void flush(double every) {
    pthread_mutex_lock(&lock);
    while (!is_done && !told) {
        struct timespec at = in(every);
        pthread_cond_timedwait(&done, &lock, &at);
    }
    pthread_mutex_unlock(&lock);
}

static void flush_sem(void) {
    struct timespec at = in(0.2);
    while (sem_timedwait(&finished, &at) != 0) at = in(0.2);
}

static void flush_poll(void) {
    while (poll(&(struct pollfd){ends[0], POLLIN, 0}, 1, 100) == 0) {
    }
}

static void timed_lock(void) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    for (struct timespec at = in(0.1); pthread_mutex_timedlock(&held, &at) != 0; at = in(0.1))
        check(write(null, "x", 1) == 1, "write");
}

/* It does not say so in any call: a clock is read without one. */
static int is_over(time_t end) {
    struct stat found;
    return is("watches") ? stat(file, &found) == 0 : time(NULL) >= end;
}

static void wait_until_over(void) {
    time_t end = time(NULL) + (time_t)seconds;
    pthread_mutex_lock(&lock);
    while (!is_over(end)) {
        struct timespec at = in(1);
        pthread_cond_timedwait(&done, &lock, &at);
    }
    pthread_mutex_unlock(&lock);
}

static void *help(void *arg) {
    nap(seconds);
    submit(ROOM);
    work(arg);
    return NULL;
}

static void shut_down(void) {
    pthread_mutex_lock(&lock);
    stops = 1;
    pthread_cond_broadcast(&task);
    pthread_mutex_unlock(&lock);
    pthread_join(worker, NULL);
}

static void team(int ends) {
    pthread_t threads[3], helper;
    if (ends) stops = 1;
    for (int i = 0; i < 3; i++) start(&threads[i], waits, NULL);
    if (ends) start(&helper, help, NULL);
    wait_done();
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

static void beats(int writes) {
    int file = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pthread_mutex_lock(&lock);
    while (!told) {
        struct timespec at = in(1);
        pthread_cond_timedwait(&done, &lock, &at);
        if (writes) check(write(file, "x", 1) == 1, "write");
    }
    pthread_mutex_unlock(&lock);
}

/* A thread of the pool, which hangs where the task does not reach it. */
static void *work_or_hang(void *arg) {
    dprintf(1, "also=%d %d\n", getpid(), gettid());
    return work(arg);
}

static void pool(int with_task) {
    pthread_t threads[3];
    if (is("pool-queue")) {
        /* Not the one for which the lost thread waits. */
        memset(&task, 0, sizeof task);
        pthread_cond_init(&task, NULL);
    }
    for (int i = 0; i < 3; i++) start(&threads[i], is("ghost") ? work_or_hang : work, NULL);
    nap(is("ghost") ? 0.3 : seconds);
    if (with_task) {
        submit(ROOM);
        wait_done();
    }
    pthread_mutex_lock(&lock);
    stops = 1;
    pthread_cond_broadcast(&task);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

static void spin(void) {
    while (!atomic_load(&flag)) sched_yield();
}

static void in_child(void) {
    pthread_t helper;
    if (is("flush-ends") || is("spin-ends")) {
        stops = 1;
        start(&helper, help, NULL);
    }
    if (is("join")) pthread_join(worker, NULL);
    if (is("thrd")) thrd_join(other, NULL);
    if (is("destroy")) pthread_cond_destroy(&task);
    if (is("sem")) {
        submit(ROOM);
        sem_wait(&finished);
    }
    if (is("cond") || is("parent-gone") || is("restarted")) {
        submit(ROOM);
        wait_done();
    }
    if (is("queue")) {
        for (int i = 0; i <= ROOM; i++) submit(ROOM);
    }
    if (is("exit")) exit(0);
    if (is("flush") || is("flush-ends")) flush(0.1);
    if (is("flush-slow")) flush(1);
    if (is("flush-work")) {
        submit(ROOM);
        flush(0.1);
    }
    if (is("timed-lock")) timed_lock();
    if (is("ticks") || is("watches")) wait_until_over();
    if (is("flush-sem")) flush_sem();
    if (is("flush-poll")) flush_poll();
    if (is("spin") || is("spin-ends")) spin();
    if (is("team") || is("team-ends")) team(is("team-ends"));
    if (is("beats") || is("beats-idle")) beats(is("beats"));
    if (is("pool")) pool(0);
    if (is("pool-queue") || is("ghost")) pool(1);
    _exit(0);
}

static void restart(void) { start(&worker, work, NULL); }

static void on_signal(int signal) { told = signal; }

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    how = argv[1];
    seconds = (double)number(argc, argv, 2, strncmp(how, "flush-", 6) && !is("flush") && !is("timed-lock") ? 6 : 15);
    int is_healthy = is("flush-ends") || is("beats") || is("beats-idle") || is("team-ends") || is("pool") ||
               is("pool-queue") || is("ticks") || is("watches") || is("spin-ends") || is("restarted") || is("join") ||
               is("thrd") || is("exit");
    wait_until_told();
    sem_init(&finished, 0, 0);
    check(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    if (is("thrd")) {
        check(thrd_create(&other, work_in_thrd, NULL) == thrd_success, "thrd_create");
    } else {
        start(&worker, work, NULL);
    }
    nap(0.1);
    snprintf(file, sizeof file, "/tmp/lost_threads.%d", getpid());
    if (is("restarted")) pthread_atfork(NULL, NULL, restart);
    if (is("exit")) atexit(shut_down);
    if (is("beats") || is("beats-idle")) signal(SIGTERM, on_signal);
    fact("forker", getpid());
    fact("lost", 1);
    pid_t child = fork_or_die();
    if (child == 0) {
        if (!is_healthy) hang_at_most((long)seconds);
        in_child();
    }
    if (is("parent-gone")) _exit(0);
    close(ends[0]);
    close(ends[1]);
    if (is("watches")) {
        nap(seconds);
        close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    if (is("beats") || is("beats-idle")) {
        nap(seconds);
        kill(child, SIGTERM);
    }
    reap();
    unlink(file);
    _exit(0);
}

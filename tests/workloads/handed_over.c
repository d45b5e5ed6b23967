/*
 * A child hands work to a thread of its parent, which it does not have. Nothing hangs.
 *
 * handed_over HOW [SECONDS]
 *   cond, sem     one task, by a condition variable or a semaphore
 *   many, posts   five tasks, the same
 *   team          five tasks for three lost threads
 *   timed         the lost thread waits with a timeout of a minute
 *   late          the child does something else first
 *   workers       three children
 *   raw           the fork is a system call of its own
 *   named         the lost thread is one of librdkafka, by its name; the child lives for 2 s
 *   beside        the child has another thread, which does something else
 * Nothing is lost:
 *   unused        the child hands over nothing
 *   anew, anew-sem  a handler of pthread_atfork makes the condition or semaphore again, and the thread too
 *   served, served-sem  a thread of the child's own takes the tasks
 *   pid           the library compares the pid, and makes a queue and a thread of its own in the child
 *   mutex         the child releases a mutex for which the lost thread waited
 *   rwlock        the same with a rwlock
 *   sleeps, polls, beats  the lost thread sleeps, polls, or waits for a request to stop that nobody makes
 *   ends          the child tells the lost thread to stop, and ends
 *   exits         the same in a handler of atexit, which then takes SECONDS
 *   shared        the condition is in shared memory: the parent's thread does the task
 *   exec          the child is another program soon
 *   stirs         the child writes to memory around the word, and not to it
 *   freed         the child frees the semaphore, and its memory is used again
 */
#include "common.h"
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    long before, tasks, stops;
    sem_t posts;
    long around[8];
};

static struct queue own = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
static struct queue *queue = &own;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t *heap;
static const char *how;
static double seconds;
static pthread_t worker;

static int is(const char *name) { return !strcmp(how, name); }
static int begins(const char *name) { return !strncmp(how, name, strlen(name)); }
static int by_sem(void) { return is("sem") || is("posts") || is("anew-sem") || is("served-sem") || is("freed"); }

static void *work(void *arg) {
    (void)arg;
    if (is("named")) prctl(PR_SET_NAME, "rdk:main");
    if (is("sleeps")) nap(100);
    if (is("polls")) poll(NULL, 0, 100000);
    if (is("mutex")) pthread_mutex_lock(&mutex), pthread_mutex_unlock(&mutex);
    if (is("rwlock")) pthread_rwlock_rdlock(&rwlock), pthread_rwlock_unlock(&rwlock);
    if (by_sem()) {
        for (;;) while (sem_wait(heap != NULL ? heap : &queue->posts) != 0) {}
    }
    pthread_mutex_lock(&queue->lock);
    for (;;) {
        struct timespec end;
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += 60;
        while (queue->tasks == 0 && !queue->stops) {
            if (is("timed") || is("beats")) pthread_cond_timedwait(&queue->cond, &queue->lock, &end);
            else pthread_cond_wait(&queue->cond, &queue->lock);
        }
        if (queue->stops) break;
        queue->tasks--;
    }
    pthread_mutex_unlock(&queue->lock);
    return NULL;
}

static void *rest(void *arg) {
    nap(*(double *)arg);
    return NULL;
}

static void put(void) {
    if (by_sem()) {
        check(sem_post(heap != NULL ? heap : &queue->posts) == 0, "sem_post");
        return;
    }
    pthread_mutex_lock(&queue->lock);
    queue->tasks++;
    pthread_cond_signal(&queue->cond);
    pthread_mutex_unlock(&queue->lock);
}

static void stop(void) {
    pthread_mutex_lock(&queue->lock);
    queue->stops = 1;
    pthread_cond_broadcast(&queue->cond);
    pthread_mutex_unlock(&queue->lock);
}

static void stop_slowly(void) {
    stop();
    nap(seconds);
}

static void again(void) {
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->cond, NULL);
    sem_init(&queue->posts, 0, 0);
    start(&worker, work, NULL);
}

/* What the child does, before it rests. */
static void child(void) {
    if (is("unused") || is("sleeps") || is("polls") || is("beats")) return;
    if (is("exec")) {
        nap(0.3);
        execlp("sleep", "sleep", "1", (char *)NULL);
    }
    if (begins("served")) {
        start(&worker, work, NULL);
        nap(0.3);
    }
    if (is("pid")) {
        static struct queue new_queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
        queue = &new_queue;
        start(&worker, work, NULL);
    }
    if (is("beside")) {
        static double long_time = 30;
        pthread_t other;
        start(&other, rest, &long_time);
    }
    if (is("mutex")) {
        pthread_mutex_unlock(&mutex);
        return;
    }
    if (is("rwlock")) {
        pthread_rwlock_unlock(&rwlock);
        return;
    }
    if (is("stirs")) {
        for (int at = 0; at < 8; at++) queue->around[at]++;
        queue->before++;
        return;
    }
    if (is("freed")) {
        sem_destroy(heap);
        free(heap);
        for (int at = 0; at < 64; at++) {
            char *block = malloc(sizeof(sem_t));
            memset(block, at, sizeof(sem_t));
        }
        return;
    }
    if (is("ends")) {
        stop();
        _exit(0);
    }
    if (is("exits")) {
        atexit(stop_slowly);
        exit(0);
    }
    nap(is("late") ? 2 : 0.5);
    long tasks = is("many") || is("posts") || is("team") || begins("served") || begins("anew") || is("pid") ? 5 : 1;
    for (long task = 0; task < tasks; task++) {
        put();
        nap(0.05);
    }
}

int main(int argc, char **argv) {
    how = argc > 1 ? argv[1] : "cond";
    seconds = (double)number(argc, argv, 2, is("named") ? 2 : 7);
    sem_init(&own.posts, 0, 0);
    if (is("freed")) {
        heap = malloc(sizeof(sem_t));
        sem_init(heap, 0, 0);
    }
    if (is("shared")) {
        queue = mmap(NULL, sizeof *queue, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        check(queue != MAP_FAILED, "mmap");
        pthread_mutexattr_t locks;
        pthread_condattr_t conds;
        pthread_mutexattr_init(&locks);
        pthread_mutexattr_setpshared(&locks, PTHREAD_PROCESS_SHARED);
        pthread_mutex_init(&queue->lock, &locks);
        pthread_condattr_init(&conds);
        pthread_condattr_setpshared(&conds, PTHREAD_PROCESS_SHARED);
        pthread_cond_init(&queue->cond, &conds);
    }
    if (begins("anew")) check(pthread_atfork(NULL, NULL, again) == 0, "pthread_atfork");
    if (is("mutex")) pthread_mutex_lock(&mutex);
    if (is("rwlock")) pthread_rwlock_wrlock(&rwlock);
    long threads = is("team") ? 3 : 1;
    for (long at = 0; at < threads; at++) start(&worker, work, NULL);
    nap(0.3);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", threads);
    int lost = is("cond") || is("sem") || is("many") || is("posts") || is("team") || is("timed")
        || is("late") || is("workers") || is("raw") || is("named") || is("beside");
    for (long at = 0; at < (is("workers") ? 3 : 1); at++) {
        pid_t pid = is("raw") ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork_or_die();
        if (pid == 0) {
            child();
            nap(seconds);
            _exit(0);
        }
        fact("born", pid);
        if (lost) fact("stuck", pid);
    }
    reap();
    return 0;
}

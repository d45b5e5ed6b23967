/*
 * Forked children that wait for something else than an inherited lock, since before the tracer
 * attached. It must say nothing; of `dead` and `alone` at most that it suspects something, and of
 * `self` that the child has the lock itself.
 *
 * late_quiet HOW [SECONDS]
 *   join    the child's first thread joins one that lives
 *   pool    threads of parent and child are parked on a condition
 *   self    the child locks a mutex that it has locked itself
 *   dead    a thread of the child has ended with the lock that the child wants
 *   exec    the child has exec'ed and waits for its own lock
 *   shared  the child waits for a semaphore in memory shared with the parent
 *   timed   the child's wait ends by itself
 *   vm      the child runs in the parent's memory, whose thread has the lock
 *   parked  a semaphore made after the fork, that nobody will post
 *   posted  a signal's handler is to post the semaphore
 *   alone   the child waits for a semaphore of before the fork, that nobody will post
 */
#include "common.h"
#include <sched.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sem_t semaphore;
static long seconds;

static void *live(void *arg) {
    (void)arg;
    for (;;) nap(0.1);
    return NULL;
}

static void *park(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    for (;;) pthread_cond_wait(&condition, &lock);
    return NULL;
}

static void *take(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    return NULL;
}

static void post(int signal) {
    (void)signal;
    sem_post(&semaphore);
}

static int in_parents_memory(void *arg) {
    (void)arg;
    fact("stuck", getpid());
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    return 0;
}

static void child(const char *how, char **argv, sem_t *shared) {
    pthread_t thread;
    hang_at_most(seconds);
    if (!strcmp(how, "join")) {
        start(&thread, live, NULL);
        pthread_join(thread, NULL);
    } else if (!strcmp(how, "pool")) {
        for (int i = 0; i < 4; i++) start(&thread, park, NULL);
        live(NULL);
    } else if (!strcmp(how, "self")) {
        pthread_mutex_lock(&lock);
        pthread_mutex_lock(&lock);
    } else if (!strcmp(how, "dead")) {
        start(&thread, take, NULL);
        pthread_join(thread, NULL);
        pthread_mutex_lock(&lock);
    } else if (!strcmp(how, "exec")) {
        execl("/proc/self/exe", argv[0], "alone-in-here", argv[2], NULL);
    } else if (!strcmp(how, "shared")) {
        sem_wait(shared);
    } else if (!strcmp(how, "timed")) {
        struct timespec end;
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec += 2 * seconds;
        sem_timedwait(&semaphore, &end);
    } else if (!strcmp(how, "parked")) {
        sem_t *own = malloc(100000);
        sem_init(own, 0, 0);
        sem_wait(own);
    } else if (!strcmp(how, "posted")) {
        signal(SIGUSR1, post);
        sem_wait(&semaphore);
    } else {
        sem_wait(&semaphore);
    }
    _exit(98);
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    const char *how = argv[1];
    seconds = number(argc, argv, 2, 6);
    sem_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(shared != MAP_FAILED && sem_init(shared, 1, 0) == 0, "shared memory");
    sem_init(&semaphore, 0, 0);
    if (!strcmp(how, "alone-in-here")) {
        /* The alarm is kept across exec. */
        sem_wait(&semaphore);
    }
    pthread_t thread;
    if (!strcmp(how, "pool")) {
        for (int i = 0; i < 4; i++) start(&thread, park, NULL);
        nap(0.1);
    }
    if (!strcmp(how, "vm")) {
        pthread_mutex_lock(&lock);
        char *stack = malloc(1 << 16);
        pid_t helper = clone(in_parents_memory, stack + (1 << 16), CLONE_VM | SIGCHLD, NULL);
        check(helper > 0, "clone");
        nap(seconds);
        pthread_mutex_unlock(&lock);
    } else if (fork_or_die() == 0) {
        child(how, argv, shared);
    }
    /* Written after the fork, so that the page says nothing of it. */
    sem_post(&semaphore);
    reap();
    return 0;
}

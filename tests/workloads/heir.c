/*
 * The forking thread holds a lock; its heir in the child has it too, and releases it after a while.
 * Until then another thread of the child waits. It looks like an inherited lock because it is one:
 * the tracer may suspect, and must not say more.
 *
 * heir LOCK DOING [SECONDS [namespace]]
 *   LOCK   mutex | semaphore | rwlock: for reading (the heir of a writer cannot release it)
 *   DOING  what the heir does meanwhile. sleeps; asks: waits for a semaphore that another process
 *          posts; signal: waits for a semaphore that its own signal handler posts; stopped: sleeps,
 *          and the whole child is stopped for a while; retakes: released the lock at once, took it
 *          again and sleeps
 *   With namespace the child is in a new pid namespace, where its threads have other numbers.
 */
#include "common.h"
#include <sched.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static sem_t *semaphore, *answer, own_answer;
static const char *lock;
static double seconds;

static void take(void) {
    if (!strcmp(lock, "mutex")) pthread_mutex_lock(&mutex);
    if (!strcmp(lock, "semaphore")) sem_wait(semaphore);
    if (!strcmp(lock, "rwlock")) pthread_rwlock_rdlock(&rwlock);
}

static void release(void) {
    if (!strcmp(lock, "mutex")) pthread_mutex_unlock(&mutex);
    if (!strcmp(lock, "semaphore")) sem_post(semaphore);
    if (!strcmp(lock, "rwlock")) pthread_rwlock_unlock(&rwlock);
}

static void *want(void *arg) {
    (void)arg;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    if (!strcmp(lock, "rwlock")) {
        pthread_rwlock_wrlock(&rwlock);
    } else {
        take();
    }
    release();
    return NULL;
}

static void post(int signal) {
    (void)signal;
    sem_post(&own_answer);
}

static void inherit(const char *doing) {
    if (!strcmp(doing, "retakes")) {
        release();
        take();
    }
    pthread_t thread;
    start(&thread, want, NULL);
    if (!strcmp(doing, "asks")) {
        sem_wait(answer);
    } else if (!strcmp(doing, "signal")) {
        signal(SIGUSR1, post);
        while (sem_wait(&own_answer) != 0) {
        }
    } else {
        nap(seconds);
    }
    release();
    pthread_join(thread, NULL);
}

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    lock = argv[1];
    const char *doing = argv[2];
    seconds = (double)number(argc, argv, 3, 3);
    answer = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    semaphore = malloc(sizeof *semaphore);
    check(answer != MAP_FAILED && semaphore != NULL, "memory");
    sem_init(answer, 1, 0);
    sem_init(&own_answer, 0, 0);
    sem_init(semaphore, 0, 1);
    wait_until_told();
    take();
    if (argc > 4) check(unshare(CLONE_NEWPID) == 0, "unshare");
    pid_t child = fork_or_die();
    if (child == 0) {
        inherit(doing);
        _exit(0);
    }
    release();
    nap(0.5);
    if (!strcmp(doing, "stopped")) kill(child, SIGSTOP);
    nap(seconds);
    if (!strcmp(doing, "stopped")) kill(child, SIGCONT);
    if (!strcmp(doing, "asks")) sem_post(answer);
    if (!strcmp(doing, "signal")) kill(child, SIGUSR1);
    reap();
    return 0;
}

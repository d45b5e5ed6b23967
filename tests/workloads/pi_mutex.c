/*
 * A child locks a priority inheriting mutex that was held when it was forked. What happens is the
 * kernel's affair; the workload says it: `error=` what pthread_mutex_lock returned, or `killed=` the
 * signal that ended the child.
 *
 * pi_mutex KIND HOLDER AFTER
 *   KIND    normal | recursive | errorcheck; also with -robust
 *   HOLDER  thread | forker
 *   AFTER   keep | exit | later: whether the holding thread, still holding, is gone when the child
 *           locks, or goes after 2.5 s, when the child waits
 */
#include "common.h"

static pthread_mutex_t lock;
static atomic_long holder;
static int leave;

static void *hold(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    holder = gettid();
    while (!leave) nap(0.01);
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 4, "usage");
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    int type = !strncmp(argv[1], "recursive", 9)     ? PTHREAD_MUTEX_RECURSIVE
               : !strncmp(argv[1], "errorcheck", 10) ? PTHREAD_MUTEX_ERRORCHECK
                                                     : PTHREAD_MUTEX_NORMAL;
    pthread_mutexattr_settype(&attr, type);
    pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
    if (strstr(argv[1], "-robust")) pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    errno = pthread_mutex_init(&lock, &attr);
    check(errno == 0, "pthread_mutex_init");
    pthread_t thread;
    int by_thread = !strcmp(argv[2], "thread");
    if (by_thread) {
        start(&thread, hold, NULL);
        while (holder == 0) nap(0.01);
    } else {
        pthread_mutex_lock(&lock);
        holder = gettid();
    }
    fact("holder", holder);
    fact("forker", getpid());
    fact("lost", by_thread);
    pid_t child = fork_or_die();
    if (child == 0) {
        nap(0.3);
        alarm(5);
        fact("stuck", getpid());
        fact("error", pthread_mutex_lock(&lock));
        _exit(0);
    }
    if (!strcmp(argv[3], "later")) nap(2.5);
    if (strcmp(argv[3], "keep")) {
        leave = 1;
        if (by_thread) pthread_join(thread, NULL);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) fact("killed", WTERMSIG(status));
    return 0;
}

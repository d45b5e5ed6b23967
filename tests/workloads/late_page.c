/*
 * A semaphore used as a lock, on the heap in a page that the parent never writes again, is at zero
 * when the children are forked; the last one waits for it and hangs. Attached to later, the tracer
 * can tell from the parent's page what the child inherited.
 *
 * late_page latest  [SECONDS]  one child: the parent's latest fork
 * late_page shared  [SECONDS]  an older sibling still shares the page; a later child is gone already
 * late_page gone    [SECONDS]  a later child is gone already: nothing tells the fork-time bytes
 * late_page written [SECONDS]  the parent has written the page since: the same
 * late_page free    [SECONDS]  held by the child itself only: free at the fork
 * late_page later   [SECONDS]  as latest, but the child blocks when it is told to
 * late_page retaken [SECONDS]  as free; the parent takes it after the fork, and a later child is gone
 * late_page helper  [SECONDS]  the same, with an older process in the parent's own memory
 */
#include "common.h"
#include <sched.h>

static sem_t *lock;

static int rest(void *seconds) {
    alarm((unsigned)(long)seconds);
    for (;;) nap(0.1);
    return 0;
}

static pid_t hang(long seconds, int twice, int later) {
    pid_t child = fork_or_die();
    if (child == 0) {
        hang_at_most(seconds);
        if (later) wait_until_told();
        if (twice) sem_wait(lock);
        sem_wait(lock);
        _exit(98);
    }
    return child;
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    const char *how = argv[1];
    long seconds = number(argc, argv, 2, 6);
    int retaken = !strcmp(how, "retaken") || !strcmp(how, "helper");
    int free_at_fork = retaken || !strcmp(how, "free");
    /* Blocks before and after it that are never touched: the page is the lock's alone. */
    void *before = malloc(8192);
    lock = malloc(sizeof *lock);
    void *after = malloc(8192);
    check(before && lock && after && sem_init(lock, 0, free_at_fork ? 1 : 0) == 0, "sem_init");
    pid_t sibling = 0;
    if (!strcmp(how, "shared")) {
        sibling = fork_or_die();
        if (sibling == 0) {
            alarm((unsigned)seconds);
            for (;;) nap(0.1);
        }
        nap(0.05);
    }
    if (!strcmp(how, "helper")) {
        char *stack = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        check(stack != MAP_FAILED, "stack");
        pid_t helper = clone(rest, stack + (1 << 16), CLONE_VM | SIGCHLD, (void *)seconds);
        check(helper > 0, "clone");
        nap(0.05);
    }
    pid_t child = hang(seconds, free_at_fork, !strcmp(how, "later"));
    fact("forker", getpid());
    fact("lost", 0);
    if (retaken) {
        nap(0.2);
        sem_wait(lock);
    }
    if (!strcmp(how, "gone") || !strcmp(how, "retaken") || sibling != 0) {
        pid_t later = fork_or_die();
        if (later == 0) _exit(0);
        waitpid(later, NULL, 0);
    }
    if (!strcmp(how, "written")) sem_post(lock);
    waitpid(child, NULL, 0);
    reap();
    return 0;
}

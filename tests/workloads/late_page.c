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
 */
#include "common.h"

static sem_t *lock;

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
    int free_at_fork = !strcmp(how, "free");
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
    pid_t child = hang(seconds, free_at_fork, !strcmp(how, "later"));
    fact("forker", getpid());
    fact("lost", 0);
    if (!strcmp(how, "gone") || sibling != 0) {
        pid_t later = fork_or_die();
        if (later == 0) _exit(0);
        waitpid(later, NULL, 0);
    }
    if (!strcmp(how, "written")) sem_post(lock);
    waitpid(child, NULL, 0);
    reap();
    return 0;
}

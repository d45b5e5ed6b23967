/*
 * Children that all sleep on a futex word of their own, and have written pages of their own before.
 * Their parent wakes nobody and ends them after a while. The tracer must say nothing certain: the
 * word is no lock.
 *
 * sleepers COUNT PAGES [SECONDS]
 */
#include "common.h"
#include <linux/futex.h>
#include <sys/syscall.h>

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    long count = atol(argv[1]), pages = atol(argv[2]);
    char *memory = malloc((size_t)(pages + 1) * 4096);
    check(memory != NULL, "malloc");
    memset(memory, 1, (size_t)(pages + 1) * 4096);
    static int word;
    pid_t *children = calloc((size_t)count, sizeof *children);
    wait_until_told();
    for (long i = 0; i < count; i++) {
        children[i] = fork_or_die();
        if (children[i] != 0) continue;
        for (long page = 0; page < pages; page++) memory[page * 4096] = 2;
        for (;;) syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL);
    }
    fact("sleepers", count);
    nap((double)number(argc, argv, 3, 3));
    for (long i = 0; i < count; i++) kill(children[i], SIGKILL);
    reap();
    return 0;
}

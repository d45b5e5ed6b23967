/*
 * A healthy child that writes very many of the pages that it inherited, more than are kept of one
 * child, and ends. It has no other thread and waits for nothing.
 *
 * many_pages PAGES
 */
#include "common.h"

enum { PAGE = 4096 };

static void touch(char *memory, long pages) {
    for (long i = 0; i < pages; i++) memory[i * PAGE] += 1;
}

int main(int argc, char **argv) {
    long pages = number(argc, argv, 1, 6000);
    char *memory = (char *)malloc((size_t)pages * PAGE);
    check(memory != NULL, "malloc");
    touch(memory, pages);
    if (fork_or_die() == 0) {
        touch(memory, pages);
        nap(0.2);
        _exit(0);
    }
    reap();
    return 0;
}

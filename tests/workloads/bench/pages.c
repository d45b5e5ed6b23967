/*
 * Forks whose child writes pages that it has inherited, over and over: what one costs in CPU time, of
 * both sides. Waiting for a busy machine does not count, and the median of all forks is told.
 *
 * pages PAGES [MILLISECONDS]
 */
#include "../common.h"

#include <sys/resource.h>

#define PAGE 4096
#define FORKS 65536

static double cpu_ns(int who) {
    struct rusage usage;
    check(getrusage(who, &usage) == 0, "getrusage");
    return ((double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec) * 1e9 +
           ((double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec) * 1e3;
}

static double spent_ns(void) { return cpu_ns(RUSAGE_SELF) + cpu_ns(RUSAGE_CHILDREN); }

static double wall_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void fork_and_write(volatile char *memory, long pages) {
    pid_t pid = fork_or_die();
    if (pid == 0) {
        for (long page = 0; page < pages; page++) memory[page * PAGE] += 1;
        _exit(0);
    }
    check(waitpid(pid, NULL, 0) == pid, "waitpid");
}

int main(int argc, char **argv) {
    static double costs[FORKS];
    long pages = number(argc, argv, 1, 50);
    double limit_ns = (double)number(argc, argv, 2, 300) * 1e6;
    size_t size = (size_t)(pages > 0 ? pages : 1) * PAGE;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED, "mmap");
    /* A huge page would be one fault. */
    check(madvise(memory, size, MADV_NOHUGEPAGE) == 0, "madvise");
    memset(memory, 1, size);
    fork_and_write(memory, pages);
    int count = 0;
    double begin = wall_ns(), before = spent_ns();
    while (count < FORKS && wall_ns() - begin < limit_ns) {
        fork_and_write(memory, pages);
        double after = spent_ns();
        costs[count++] = after - before;
        before = after;
    }
    qsort(costs, (size_t)count, sizeof *costs, compare);
    fact("forks", count);
    fact("picoseconds", (long)(costs[count / 2] * 1000));
    return 0;
}

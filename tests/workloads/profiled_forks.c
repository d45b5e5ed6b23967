/*
 * Forks while the whole host is profiled with call chains. To walk a stack, the kernel reads user
 * memory in the timer's interrupt, whatever it interrupted, and faults where there is none.
 *
 * profiled_forks [COUNT]
 */
#include "common.h"

#include <linux/perf_event.h>
#include <sys/syscall.h>

#define PAGES 8

/* Ten thousand samples a second of one CPU. They are not read: once the buffer is full they are made
 * all the same. */
static struct perf_event_mmap_page *sample(int cpu) {
    struct perf_event_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.size = sizeof attr;
    attr.type = PERF_TYPE_SOFTWARE;
    attr.config = PERF_COUNT_SW_CPU_CLOCK;
    attr.sample_period = 100000;
    attr.sample_type = PERF_SAMPLE_CALLCHAIN;
    int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
    check(fd >= 0, "perf_event_open");
    size_t size = (PAGES + 1) * (size_t)sysconf(_SC_PAGESIZE);
    void *buffer = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(buffer != MAP_FAILED, "mmap");
    return buffer;
}

int main(int argc, char **argv) {
    long count = number(argc, argv, 1, 4000), sum = 0;
    struct perf_event_mmap_page *samples = NULL;
    for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) samples = sample(cpu);
    for (long i = 0; i < count; i++) {
        pid_t pid = fork_or_die();
        if (pid == 0) _exit(0);
        sum += pid;
        reap();
    }
    fact("forks", count);
    fact("pidsum", sum);
    fact("sampled", (long)samples->data_head);
    return 0;
}

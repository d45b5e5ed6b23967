/*
 * One thing the kernel is asked for, over and over: what a call costs is measured in batches of a
 * millisecond or less, and the median batch is told. A batch during which the machine did something
 * else does not count then.
 *
 * calls wake|pingpong|fork|spawn|getppid [MILLISECONDS]
 */
#include "../common.h"

#include <linux/futex.h>
#include <sched.h>
#include <spawn.h>
#include <sys/syscall.h>

#define BATCHES 65536

static _Atomic unsigned words[2];
static atomic_int over;

static long futex(_Atomic unsigned *word, int op, unsigned value) {
    return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void wake(void) { futex(&words[0], FUTEX_WAKE, 1); }

static void ppid(void) { syscall(SYS_getppid); }

static void make_child(void) {
    pid_t pid = fork_or_die();
    if (pid == 0) _exit(0);
    check(waitpid(pid, NULL, 0) == pid, "waitpid");
}

static void spawn(void) {
    static char *const command[] = {"true", NULL};
    pid_t pid;
    errno = posix_spawnp(&pid, command[0], NULL, NULL, command, environ);
    check(errno == 0, "posix_spawnp");
    check(waitpid(pid, NULL, 0) == pid, "waitpid");
}

/* Says that it is the other side's turn. */
static void hand_over(int other) {
    words[other] = 1;
    futex(&words[other], FUTEX_WAKE, 1);
}

static void await_turn(int side) {
    while (words[side] == 0) futex(&words[side], FUTEX_WAIT, 0);
    words[side] = 0;
}

static void *answer(void *arg) {
    for (;;) {
        await_turn(1);
        if (over) return arg;
        hand_over(0);
    }
}

static void round_trip(void) {
    hand_over(1);
    await_turn(0);
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Where the scheduler puts two threads would be most of what is measured. */
static void stay_on_one_cpu(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)sched_getcpu(), &set);
    check(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void measure(void (*once)(void), int calls, double limit_ns) {
    static double batches[BATCHES];
    int count = 0;
    once();
    double begin = now_ns(), before = begin;
    while (count < BATCHES && before - begin < limit_ns) {
        for (int i = 0; i < calls; i++) once();
        double after = now_ns();
        batches[count++] = (after - before) / calls;
        before = after;
    }
    qsort(batches, (size_t)count, sizeof *batches, compare);
    fact("batches", count);
    fact("picoseconds", (long)(batches[count / 2] * 1000));
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "wake";
    double limit_ns = (double)number(argc, argv, 2, 300) * 1e6;
    if (strcmp(what, "wake") == 0) measure(wake, 500, limit_ns);
    if (strcmp(what, "getppid") == 0) measure(ppid, 500, limit_ns);
    if (strcmp(what, "fork") == 0) measure(make_child, 1, limit_ns);
    if (strcmp(what, "spawn") == 0) measure(spawn, 1, limit_ns);
    if (strcmp(what, "pingpong") == 0) {
        pthread_t other;
        stay_on_one_cpu();
        start(&other, answer, NULL);
        measure(round_trip, 20, limit_ns);
        over = 1;
        hand_over(1);
        pthread_join(other, NULL);
    }
    return 0;
}

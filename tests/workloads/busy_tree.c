/*
 * A tree at work: three workers, each with three threads that all fork short-lived children. Every
 * process says when it was born and when it is about to go (CLOCK_BOOTTIME, ns), so that a test
 * that attaches in the middle knows what must be in the tracer's tree.
 *
 * busy_tree [SECONDS]
 */
#include "common.h"

static long long end_ns;

static long long now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void say(const char *what) { dprintf(1, "%s=%d %lld\n", what, getpid(), now_ns()); }

static void *fork_often(void *arg) {
    (void)arg;
    while (now_ns() < end_ns) {
        pid_t pid = fork_or_die();
        if (pid == 0) {
            say("born");
            nap(0.05);
            say("gone");
            _exit(0);
        }
        nap(0.03);
        waitpid(pid, NULL, 0);
    }
    return NULL;
}

int main(int argc, char **argv) {
    end_ns = now_ns() + number(argc, argv, 1, 5) * 1000000000LL;
    fact("ready", getpid());
    for (int i = 0; i < 3; i++) {
        if (fork_or_die() != 0) continue;
        say("born");
        pthread_t threads[2];
        for (int t = 0; t < 2; t++) start(&threads[t], fork_often, NULL);
        fork_often(NULL);
        for (int t = 0; t < 2; t++) pthread_join(threads[t], NULL);
        say("gone");
        _exit(0);
    }
    reap();
    return 0;
}

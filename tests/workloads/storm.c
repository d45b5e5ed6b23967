/*
 * Does one thing over and over, and says how often: nothing else makes events of that kind, so that
 * seen and lost must add up to what is said here.
 *
 * storm fork|thread|exec|chain|wait|wake COUNT
 *   fork    children that end at once
 *   thread  threads that end at once
 *   exec    children that run this program again, which ends at once
 *   chain   one child that runs this program again and again
 *   wait    futex waits that return at once, because the word has another value
 *   wake    futex wakes of nobody
 */
#include "common.h"
#include <linux/futex.h>
#include <sys/syscall.h>

static int word;

static void *nothing(void *arg) { return arg; }

static void run(const char *self, const char *what, long left) {
    char number[24];
    snprintf(number, sizeof number, "%ld", left);
    execl(self, self, what, number, NULL);
    check(0, "exec");
}

static void once(const char *self, const char *what) {
    pthread_t thread;
    if (!strcmp(what, "thread")) {
        start(&thread, nothing, NULL);
        pthread_join(thread, NULL);
    } else if (!strcmp(what, "wait")) {
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 1, NULL);
    } else if (!strcmp(what, "wake")) {
        syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
    } else {
        pid_t child = fork_or_die();
        if (child == 0) {
            if (!strcmp(what, "exec")) run(self, "end", 0);
            _exit(0);
        }
        check(waitpid(child, NULL, 0) == child, "waitpid");
    }
}

int main(int argc, char **argv) {
    check(argc == 3, "usage");
    const char *what = argv[1];
    long count = atol(argv[2]);
    if (!strcmp(what, "end")) return 0;
    if (!strcmp(what, "next")) {
        if (count > 1) run(argv[0], what, count - 1);
        return 0;
    }
    wait_until_told();
    if (!strcmp(what, "chain")) {
        pid_t child = fork_or_die();
        if (child == 0) run(argv[0], "next", count);
        check(waitpid(child, NULL, 0) == child, "waitpid");
    }
    for (long i = 0; i < count && strcmp(what, "chain"); i++) once(argv[0], what);
    fact("count", count);
    return 0;
}

/*
 * The mechanism of https://github.com/facebook/rocksdb/pull/10652: each line of a log begins with the
 * local time. A thread is inside of localtime_r() at the fork, and with it inside of glibc's lock
 * over the time zone; the child's first line of log hangs. Here the thread reads its zone from a fifo
 * that nobody writes to; otherwise it would take luck to hit the instant.
 * The tracer must say: inherited-lock, certain, a lock inside of glibc, holder unknown.
 *
 * rocksdb10652 [SECONDS]
 */
#include "../common.h"

#include <sys/stat.h>

static atomic_int logging;

static __attribute__((noinline)) void log_line(const char *text) {
    time_t now = time(NULL);
    struct tm tm;
    logging = 1;
    localtime_r(&now, &tm);
    dprintf(2, "%02d:%02d %s\n", tm.tm_hour, tm.tm_min, text);
}

static void *flush_thread(void *arg) {
    (void)arg;
    pthread_setname_np(pthread_self(), "flush");
    log_line("flushed");
    return NULL;
}

int main(int argc, char **argv) {
    char directory[] = "/tmp/forktrace-zone-XXXXXX", zone[40];
    check(mkdtemp(directory) != NULL, "mkdtemp");
    snprintf(zone, sizeof zone, "%s/zone", directory);
    check(mkfifo(zone, 0600) == 0, "mkfifo");
    setenv("TZ", zone, 1);
    wait_until_told();
    pthread_t thread;
    start(&thread, flush_thread, NULL);
    while (!logging) nap(0.01);
    nap(0.3);
    fact("forker", getpid());
    fact("lost", 1);
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 1, 6));
        log_line("worker started");
        _exit(98);
    }
    reap();
    unlink(zone);
    rmdir(directory);
    return 0;
}

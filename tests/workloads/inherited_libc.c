/*
 * glibc's lock over the time zone is held by a thread of the parent at the fork: it is reading the
 * zone file, which is a fifo that nobody writes to. The child wants the local time and hangs.
 * The tracer must say: inherited-lock, certain, a lock inside of glibc, holder unknown.
 *
 * inherited_libc HOLDER [SECONDS]
 *   HOLDER  parent, or child: the lock is free at the fork, a thread of the child has it, and the
 *           tracer must say nothing
 */
#include "common.h"

#include <sys/stat.h>

static atomic_long holder;

static void *read_zone(void *arg) {
    (void)arg;
    holder = gettid();
    tzset();
    return NULL;
}

static void hold(void) {
    pthread_t thread;
    start(&thread, read_zone, NULL);
    while (holder == 0) nap(0.01);
    nap(0.2);
}

int main(int argc, char **argv) {
    char fifo[] = "/tmp/forktrace-zone-XXXXXX", zone[40];
    check(mkdtemp(fifo) != NULL, "mkdtemp");
    snprintf(zone, sizeof zone, "%s/zone", fifo);
    check(mkfifo(zone, 0600) == 0, "mkfifo");
    setenv("TZ", zone, 1);
    wait_until_told();
    check(argc >= 2, "usage");
    int by_parent = !strcmp(argv[1], "parent");
    if (by_parent) hold();
    if (fork_or_die() == 0) {
        hang_at_most(number(argc, argv, 2, 6));
        if (!by_parent) hold();
        time_t now = 0;
        struct tm tm;
        localtime_r(&now, &tm);
        _exit(98);
    }
    fact("forker", getpid());
    fact("lost", by_parent);
    reap();
    unlink(zone);
    rmdir(fifo);
    return 0;
}

/*
 * A semaphore in memory of several processes, which a child waits for. Where the memory has a name, a
 * process that does not have it today may come to wake the child.
 *
 * named_memory WHAT HOW [SECONDS]
 *   WHAT  file | sysv | unlinked | memfd: what the memory is of; the first two can be had by a name
 *   HOW   late: the parent has given the memory up, gets it again after SECONDS and posts |
 *         killed: who took the semaphore was killed, and nobody posts
 */
#include "common.h"
#include <fcntl.h>
#include <semaphore.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>

static const char *what, *how;
static int file = -1, segment = -1;
static char path[] = "/tmp/forktrace-named-XXXXXX";

static int is(const char *name) { return !strcmp(what, name); }

static void make(void) {
    if (is("sysv")) {
        segment = shmget(IPC_PRIVATE, 4096, 0600);
        check(segment >= 0, "shmget");
        return;
    }
    file = is("memfd") ? memfd_create("semaphore", MFD_CLOEXEC) : mkostemp(path, O_CLOEXEC);
    check(file >= 0 && ftruncate(file, 4096) == 0, "file");
    if (is("unlinked")) unlink(path);
}

static sem_t *map(void) {
    void *memory = segment >= 0
                       ? shmat(segment, NULL, 0)
                       : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    check(memory != MAP_FAILED, "memory");
    return memory;
}

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    what = argv[1];
    how = argv[2];
    double seconds = (double)number(argc, argv, 3, 6);
    int late = !strcmp(how, "late");
    make();
    sem_t *semaphore = map();
    sem_init(semaphore, 1, 1);
    wait_until_told();
    fact("forker", getpid());
    fact("lost", 0);
    pid_t holder = fork_or_die();
    if (holder == 0) {
        sem_wait(semaphore);
        fact("holder", getpid());
        for (;;) nap(1);
    }
    nap(0.3);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    if (fork_or_die() == 0) {
        if (late) fact("born", getpid());
        if (!late) hang_at_most((long)seconds);
        sem_wait(semaphore);
        _exit(0);
    }
    if (late) {
        if (segment >= 0) shmdt(semaphore);
        if (segment < 0) munmap(semaphore, 4096);
        if (is("file")) close(file);
        nap(seconds);
        if (is("file")) file = open(path, O_RDWR | O_CLOEXEC);
        sem_post(map());
    }
    reap();
    if (segment >= 0) shmctl(segment, IPC_RMID, NULL);
    if (is("file")) unlink(path);
    return 0;
}

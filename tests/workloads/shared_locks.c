/*
 * Forked processes that wait for locks which they share with others: in shared memory, or on files.
 *
 * shared_locks WHAT HOW [SECONDS]
 *   WHAT  sem | mutex | rwlock | cond | robust | flock | fcntl | lockf | sysv | undo: what the child waits for
 *   HOW   killed  who has it (of cond: who would signal it) was killed
 *         circle  the parent's thread has it and waits for the child (flock, fcntl: its only thread)
 *         asks    the parent's thread has it and waits for an answer of the child, its other for the child
 *         abba    two children each have one and wait for the other's
 *         once    two children wait; who has it ends without giving it back, as it should have
 *         late    the parent gives it back after SECONDS
 *         sibling another child gives it back after SECONDS
 *         thread  a thread of the parent gives it back after SECONDS, while its other waits for the child
 * A robust mutex, a lock on a file, and a semaphore of System V with SEM_UNDO (undo) is passed on when its owner ends: with killed and once nobody hangs.
 */
#include "common.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/sem.h>

struct shared {
    sem_t sem[2];
    pthread_mutex_t mutex[2];
    pthread_rwlock_t rwlock[2];
    pthread_cond_t cond;
    pthread_mutex_t beside_cond;
    int is_told;
};

static struct shared *shared;
static const char *what, *how;
static double seconds;
/* The file that has no name any more, by which it can be opened again. */
static char path[64];
static int file, sysv;
static int answer[2];

static int is(const char *name) { return !strcmp(what, name); }

static int goes(const char *name) { return !strcmp(how, name); }

static void is_taken(int error) {
    errno = error;
    if (error == EOWNERDEAD) return;
    check(error == 0, "taking it");
}

static void by_fcntl(int command, short type, int which) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = which, .l_len = 1};
    check(fcntl(file, command, &lock) == 0, "fcntl");
}

static void by_sysv(short change, int which) {
    struct sembuf operation = {.sem_num = (unsigned short)which, .sem_op = change, .sem_flg = (short)(is("undo") ? SEM_UNDO : 0)};
    check(semop(sysv, &operation, 1) == 0, "semop");
}

static void take(int which) {
    if (is("sem")) check(sem_wait(&shared->sem[which]) == 0, "sem_wait");
    if (is("mutex") || is("robust")) is_taken(pthread_mutex_lock(&shared->mutex[which]));
    if (is("rwlock")) is_taken(pthread_rwlock_wrlock(&shared->rwlock[which]));
    if (is("flock")) {
        int own = open(path, O_RDWR | O_CLOEXEC);
        check(flock(own, LOCK_EX) == 0, "flock");
        file = own;
    }
    if (is("fcntl")) by_fcntl(F_SETLKW, F_WRLCK, which);
    if (is("lockf")) check(lockf(file, F_LOCK, 1) == 0, "lockf");
    if (is("sysv") || is("undo")) by_sysv(-1, which);
}

static void give_back(int which) {
    if (is("sem")) sem_post(&shared->sem[which]);
    if (is("mutex") || is("robust")) pthread_mutex_unlock(&shared->mutex[which]);
    if (is("rwlock")) pthread_rwlock_unlock(&shared->rwlock[which]);
    if (is("flock")) flock(file, LOCK_UN);
    if (is("fcntl")) by_fcntl(F_SETLK, F_UNLCK, which);
    if (is("lockf")) check(lockf(file, F_ULOCK, 1) == 0, "lockf");
    if (is("sysv") || is("undo")) by_sysv(1, which);
    if (is("cond")) {
        pthread_mutex_lock(&shared->beside_cond);
        shared->is_told = 1;
        pthread_cond_broadcast(&shared->cond);
        pthread_mutex_unlock(&shared->beside_cond);
    }
}

static void want(int which) {
    if (!is("cond")) {
        take(which);
        return;
    }
    pthread_mutex_lock(&shared->beside_cond);
    while (!shared->is_told) pthread_cond_wait(&shared->cond, &shared->beside_cond);
    pthread_mutex_unlock(&shared->beside_cond);
}

static pid_t maker;

/* It outlives the processes that have it. */
static void remove_sysv(void) {
    if (getpid() == maker) semctl(sysv, 0, IPC_RMID);
}

static void make(void) {
    int protection = PROT_READ | PROT_WRITE;
    shared = mmap(NULL, sizeof *shared, protection, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(shared != MAP_FAILED, "mmap");
    pthread_mutexattr_t attributes;
    pthread_condattr_t of_cond;
    pthread_rwlockattr_t of_rwlock;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (is("robust")) pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_condattr_init(&of_cond);
    pthread_condattr_setpshared(&of_cond, PTHREAD_PROCESS_SHARED);
    pthread_rwlockattr_init(&of_rwlock);
    pthread_rwlockattr_setpshared(&of_rwlock, PTHREAD_PROCESS_SHARED);
    for (int i = 0; i < 2; i++) {
        sem_init(&shared->sem[i], 1, 1);
        pthread_mutex_init(&shared->mutex[i], &attributes);
        pthread_rwlock_init(&shared->rwlock[i], &of_rwlock);
    }
    pthread_mutex_init(&shared->beside_cond, &attributes);
    pthread_cond_init(&shared->cond, &of_cond);
    file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    check(file >= 0, "open");
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    if (is("sysv") || is("undo")) {
        sysv = semget(IPC_PRIVATE, 2, 0600);
        check(sysv >= 0, "semget");
        maker = getpid();
        atexit(remove_sysv);
        for (unsigned short i = 0; i < 2; i++) {
            struct sembuf one = {.sem_num = i, .sem_op = 1};
            check(semop(sysv, &one, 1) == 0, "semop");
        }
    }
    check(pipe2(answer, O_CLOEXEC) == 0, "pipe");
}

/* A child that waits for it, and hangs where nobody gives it back. */
static void waiter(int hangs) {
    if (fork_or_die() != 0) return;
    close(answer[0]);
    if (goes("circle")) nap(0.4);
    if (hangs) {
        hang_at_most((long)seconds);
    } else {
        fact("born", getpid());
    }
    want(0);
    if (!is("cond")) give_back(0);
    check(write(answer[1], "", 1) == 1, "write");
    _exit(0);
}

static void with_holder_killed(int hangs) {
    pid_t holder = fork_or_die();
    if (holder == 0) {
        if (!is("cond")) take(0);
        fact("holder", getpid());
        if (goes("once")) _exit(0);
        for (;;) nap(1);
    }
    nap(0.3);
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
    waiter(hangs);
    if (goes("once")) waiter(hangs);
}

static void abba(void) {
    for (int i = 0; i < 2; i++) {
        if (fork_or_die() != 0) continue;
        take(i);
        nap(0.3);
        hang_at_most((long)seconds);
        take(1 - i);
        _exit(98);
    }
}

static void *holder_thread(void *arg) {
    char byte;
    take(0);
    sem_post(arg);
    if (goes("asks")) check(read(answer[0], &byte, 1) >= 0, "read");
    if (goes("circle")) waitpid(-1, NULL, 0);
    if (goes("thread")) nap(seconds);
    give_back(0);
    return NULL;
}

/* The holder is a thread of the parent; its first thread waits for the child or for the thread. */
static void with_thread(int hangs) {
    pthread_t thread;
    sem_t taken;
    sem_init(&taken, 0, 0);
    if (goes("circle")) {
        /* There must be a child to wait for. */
        waiter(hangs);
        start(&thread, holder_thread, &taken);
        pthread_join(thread, NULL);
        return;
    }
    start(&thread, holder_thread, &taken);
    sem_wait(&taken);
    waiter(hangs);
    close(answer[1]);
    reap();
}

int main(int argc, char **argv) {
    check(argc >= 3, "usage");
    what = argv[1];
    how = argv[2];
    seconds = (double)number(argc, argv, 3, 6);
    int on_file = is("flock") || is("fcntl") || is("lockf");
    make();
    wait_until_told();
    fact("forker", getpid());
    fact("lost", goes("asks") || goes("thread"));
    if (goes("killed") || goes("once")) {
        with_holder_killed(!on_file && !is("robust") && !is("undo"));
    } else if (goes("abba")) {
        abba();
    } else if (goes("circle") && on_file) {
        take(0);
        waiter(1);
    } else if (goes("asks") || goes("thread") || goes("circle")) {
        with_thread(!goes("thread"));
    } else if (goes("sibling")) {
        if (fork_or_die() == 0) {
            take(0);
            nap(seconds);
            give_back(0);
            _exit(0);
        }
        nap(0.3);
        waiter(0);
    } else {
        if (!is("cond")) take(0);
        waiter(0);
        nap(seconds);
        give_back(0);
    }
    reap();
    return 0;
}

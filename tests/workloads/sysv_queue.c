/*
 * Forked processes that wait for System V semaphores as healthy programs do: every wait ends.
 *
 * sysv_queue HOW [SECONDS]
 *   HOW   counted  two children take what others, which come and go, have counted, one each SECONDS
 *         prefork  three children have a mutex for accept(2); the parent connects after SECONDS
 */
#include "common.h"
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/un.h>

static int set;
static pid_t maker;
static double seconds;

static void change(short by) {
    struct sembuf operation = {.sem_num = 0, .sem_op = by};
    check(semop(set, &operation, 1) == 0, "semop");
}

/* It outlives the processes that have it. */
static void remove_set(void) {
    if (getpid() == maker) semctl(set, 0, IPC_RMID);
}

static void counted(void) {
    for (int i = 0; i < 2; i++) {
        if (fork_or_die() != 0) continue;
        fact("born", getpid());
        for (int taken = 0; taken < 2; taken++) change(-1);
        _exit(0);
    }
    for (int i = 0; i < 4; i++) {
        pid_t producer = fork_or_die();
        if (producer == 0) {
            change(1);
            _exit(0);
        }
        waitpid(producer, NULL, 0);
        nap(seconds);
    }
}

static void prefork(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "sysv_queue.%d", getpid());
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(bind(listener, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    check(listen(listener, 8) == 0, "listen");
    change(1);
    for (int i = 0; i < 3; i++) {
        if (fork_or_die() != 0) continue;
        fact("born", getpid());
        change(-1);
        int connection = accept(listener, NULL, NULL);
        change(1);
        close(connection);
        _exit(0);
    }
    nap(seconds);
    for (int i = 0; i < 3; i++) {
        int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        check(connect(client, (struct sockaddr *)&address, sizeof address) == 0, "connect");
        close(client);
    }
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    int is_counted = !strcmp(argv[1], "counted");
    seconds = (double)number(argc, argv, 2, is_counted ? 3 : 6);
    set = semget(IPC_PRIVATE, 1, 0600);
    check(set >= 0, "semget");
    maker = getpid();
    atexit(remove_set);
    wait_until_told();
    fact("forker", getpid());
    if (is_counted) {
        counted();
    } else {
        prefork();
    }
    reap();
    return 0;
}

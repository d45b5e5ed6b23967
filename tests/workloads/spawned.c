/*
 * Children made by vfork or posix_spawn share the parent's memory until they exec, and inherit no
 * copy of a lock. Meanwhile a lock is held and waited for in the parent. The tracer must say
 * nothing, and show every child.
 *
 * spawned vfork|posix_spawn [SECONDS]
 */
#include "common.h"
#include <spawn.h>

extern char **environ;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *want(void *arg) {
    (void)arg;
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    char *seconds = argc > 2 ? argv[2] : "3";
    char *command[] = {"sleep", seconds, NULL};
    pthread_t thread;
    pthread_mutex_lock(&lock);
    start(&thread, want, NULL);
    for (int i = 0; i < 3; i++) {
        pid_t pid;
        if (!strcmp(argv[1], "vfork")) {
            pid = vfork();
            if (pid == 0) {
                execvp(command[0], command);
                _exit(127);
            }
            check(pid > 0, "vfork");
        } else {
            errno = posix_spawnp(&pid, command[0], NULL, NULL, command, environ);
            check(errno == 0, "posix_spawnp");
        }
        fact("born", pid);
    }
    reap();
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    return 0;
}

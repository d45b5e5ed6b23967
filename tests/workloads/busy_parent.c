/*
 * The parent's threads use the C library's own locks without a pause while the main thread forks
 * again and again; each child uses them too. The library resets them at a fork. The tracer must say
 * nothing.
 *
 * busy_parent malloc|stdio [CHILDREN]
 */
#include "common.h"

static const char *what;
static FILE *out;

static void use(void) {
    if (!strcmp(what, "malloc")) {
        void *blocks[32];
        for (int at = 0; at < 32; at++) blocks[at] = malloc((size_t)(16 << (at % 12)));
        for (int at = 0; at < 32; at++) free(blocks[at]);
    } else {
        fprintf(out, "%d\n", getpid());
        fflush(out);
    }
}

static void *keep_using(void *arg) {
    (void)arg;
    for (;;) use();
    return NULL;
}

int main(int argc, char **argv) {
    check(argc >= 2, "usage");
    what = argv[1];
    out = fopen("/dev/null", "w");
    check(out != NULL, "fopen");
    wait_until_told();
    pthread_t thread;
    for (int count = 0; count < 2; count++) start(&thread, keep_using, NULL);
    for (long child = number(argc, argv, 2, 100); child > 0; child--) {
        if (fork_or_die() == 0) {
            for (int count = 0; count < 20; count++) use();
            _exit(0);
        }
    }
    reap();
    return 0;
}

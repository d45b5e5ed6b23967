/*
 * A child hangs on an inherited mutex whose next page is that of a file which is never read to its
 * end: the file system's server, of this workload too (FUSE), answers for the first page alone. As
 * root. It is what a user can do with fusermount, and what a server that is down does to NFS.
 * Whoever reads that page of the child waits until the server ends.
 *
 * slow_file SECONDS
 */
#include "common.h"
#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define PAGE 4096
#define ROOT 1
#define THE_FILE 2

static char asked[1 << 17];

static void answer(int fuse, __u64 unique, int error, const void *body, size_t len) {
    static char reply[sizeof(struct fuse_out_header) + 2 * PAGE];
    struct fuse_out_header head = {(__u32)(sizeof head + len), error, unique};
    memcpy(reply, &head, sizeof head);
    if (len) memcpy(reply + sizeof head, body, len);
    /* The kernel may have given up waiting. */
    if (write(fuse, reply, head.len) < 0) return;
}

static struct fuse_attr attributes(__u64 node) {
    struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = PAGE};
    attr.mode = node == ROOT ? S_IFDIR | 0755 : S_IFREG | 0755;
    attr.size = node == ROOT ? 0 : 2 * PAGE;
    return attr;
}

static void serve(int fuse) {
    static char zeroes[PAGE];
    while (read(fuse, asked, sizeof asked) > 0) {
        struct fuse_in_header *head = (struct fuse_in_header *)asked;
        void *body = head + 1;
        switch (head->opcode) {
        case FUSE_INIT: {
            struct fuse_init_out out = {.major = 7, .minor = 31, .max_write = PAGE};
            answer(fuse, head->unique, 0, &out, sizeof out);
            break;
        }
        case FUSE_LOOKUP: {
            struct fuse_entry_out out = {.nodeid = THE_FILE, .attr = attributes(THE_FILE)};
            answer(fuse, head->unique, 0, &out, sizeof out);
            break;
        }
        case FUSE_GETATTR: {
            struct fuse_attr_out out = {.attr_valid = 60, .attr = attributes(head->nodeid)};
            answer(fuse, head->unique, 0, &out, sizeof out);
            break;
        }
        case FUSE_OPEN: {
            struct fuse_open_out out = {.fh = 1};
            answer(fuse, head->unique, 0, &out, sizeof out);
            break;
        }
        case FUSE_READ:
            if (((struct fuse_read_in *)body)->offset == 0)
                answer(fuse, head->unique, 0, zeroes, PAGE);
            break;
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
            break;
        case FUSE_FLUSH:
        case FUSE_RELEASE:
            answer(fuse, head->unique, 0, NULL, 0);
            break;
        default:
            answer(fuse, head->unique, -ENOSYS, NULL, 0);
        }
    }
    _exit(0);
}

static pthread_mutex_t *lock;

static void *hold(void *held) {
    pthread_mutex_lock(lock);
    sem_post(held);
    pause();
    return NULL;
}

int main(int argc, char **argv) {
    long seconds = number(argc, argv, 1, 5);
    check(unshare(CLONE_NEWNS) == 0, "unshare");
    check(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    check(fuse >= 0, "/dev/fuse");
    char options[100];
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", fuse);
    check(mount("slow", "/mnt", "fuse", MS_NOSUID, options) == 0, "mount");
    pid_t server = fork_or_die();
    if (server == 0) {
        /* It ends when nobody can be waiting for it any more, or with the test. */
        alarm((unsigned)seconds + 30);
        serve(fuse);
    }
    close(fuse);
    fact("server", server);

    int file = open("/mnt/libc.so.6", O_RDONLY);
    check(file >= 0, "open");
    int bits = PROT_READ | PROT_WRITE | PROT_EXEC;
    char *pages = mmap(NULL, 2 * PAGE, bits, MAP_PRIVATE, file, 0);
    check(pages != MAP_FAILED, "mmap");
    lock = (pthread_mutex_t *)(pages + PAGE - 64);
    pthread_mutex_init(lock, NULL);
    sem_t held;
    sem_init(&held, 0, 0);
    pthread_t holder;
    start(&holder, hold, &held);
    sem_wait(&held);
    wait_until_told();
    pid_t child = fork_or_die();
    if (child == 0) {
        hang_at_most(seconds);
        pthread_mutex_lock(lock);
        _exit(1);
    }
    waitpid(child, NULL, 0);
    kill(server, SIGKILL);
    reap();
    return 0;
}

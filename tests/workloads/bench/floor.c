/*
 * The least that any eBPF tracer pays: a program that does nothing, attached to tracepoints the way
 * forktrace's are. It stays until stdin ends.
 *
 * floor CATEGORY/EVENT | raw:EVENT...
 */
#include "../common.h"

#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>

#define EVENTS "/sys/kernel/tracing/events"

static int load_empty(enum bpf_prog_type type) {
    static const struct bpf_insn nothing[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = type;
    attr.insns = (uintptr_t)nothing;
    attr.insn_cnt = sizeof nothing / sizeof *nothing;
    attr.license = (uintptr_t) "GPL";
    int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
    check(program >= 0, "BPF_PROG_LOAD");
    return program;
}

/* tracefs for this process alone, where nobody has mounted it. */
static void find_events(void) {
    if (access(EVENTS, F_OK) == 0) return;
    check(unshare(CLONE_NEWNS) == 0, "unshare");
    check(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "making mounts private");
    check(mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) == 0, "mounting tracefs");
}

/* Where the kernel has the event. */
static void attach(int program, const char *event) {
    char path[256], text[32] = "";
    snprintf(path, sizeof path, EVENTS "/%s/id", event);
    FILE *file = fopen(path, "r");
    if (file == NULL) return;
    check(fgets(text, sizeof text, file) != NULL, path);
    fclose(file);
    struct perf_event_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.size = sizeof attr;
    attr.type = PERF_TYPE_TRACEPOINT;
    attr.config = strtoull(text, NULL, 10);
    /* The program runs on every CPU: it hangs on the tracepoint, not on this CPU's event. */
    int perf = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
    check(perf >= 0, event);
    check(ioctl(perf, PERF_EVENT_IOC_SET_BPF, program) == 0, "PERF_EVENT_IOC_SET_BPF");
    check(ioctl(perf, PERF_EVENT_IOC_ENABLE, 0) == 0, "PERF_EVENT_IOC_ENABLE");
    fact(event, 1);
}

static void attach_raw(int program, const char *event) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.raw_tracepoint.name = (uintptr_t)event;
    attr.raw_tracepoint.prog_fd = (unsigned)program;
    check(syscall(SYS_bpf, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof attr) >= 0, event);
    fact(event, 1);
}

int main(int argc, char **argv) {
    find_events();
    int program = load_empty(BPF_PROG_TYPE_TRACEPOINT);
    int raw = load_empty(BPF_PROG_TYPE_RAW_TRACEPOINT);
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "raw:", 4) == 0) {
            attach_raw(raw, argv[i] + 4);
        } else {
            attach(program, argv[i]);
        }
    }
    fact("ready", getpid());
    char byte;
    while (read(0, &byte, 1) < 0 && errno == EINTR) {
    }
    return 0;
}

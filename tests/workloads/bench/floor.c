/*
 * The least that any eBPF tracer pays: a program that does nothing, attached to tracepoints the way
 * forktrace's are. With keep: it does what any tracer must do that keeps pages as they are inherited: at a
 * write to a page that is there, it reads the page. It stays until stdin ends.
 *
 * floor CATEGORY/EVENT | raw:EVENT | keep:EVENT...
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

#define PAGE 4096

#define MOVE(to, from) {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = to, .src_reg = from}
#define SET(to, value) {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = to, .imm = value}
#define AND(to, value) {.code = BPF_ALU64 | BPF_AND | BPF_K, .dst_reg = to, .imm = value}
#define ADD(to, value) {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = to, .imm = value}
#define LOAD(to, from, at) {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = to, .src_reg = from, .off = at}
#define CALL(helper) {.code = BPF_JMP | BPF_CALL, .imm = helper}
#define DONE {.code = BPF_JMP | BPF_EXIT}

static int load(enum bpf_prog_type type, const struct bpf_insn *insns, size_t count) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.prog_type = type;
    attr.insns = (uintptr_t)insns;
    attr.insn_cnt = (unsigned)count;
    attr.license = (uintptr_t) "GPL";
    int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof attr);
    check(program >= 0, "BPF_PROG_LOAD");
    return program;
}

static int load_empty(enum bpf_prog_type type) {
    static const struct bpf_insn nothing[] = {SET(BPF_REG_0, 0), DONE};
    return load(type, nothing, sizeof nothing / sizeof *nothing);
}

/* Room for one page of each CPU. */
static int make_room(void) {
    union bpf_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.map_type = BPF_MAP_TYPE_PERCPU_ARRAY;
    attr.key_size = 4;
    attr.value_size = PAGE;
    attr.max_entries = 1;
    int map = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
    check(map >= 0, "BPF_MAP_CREATE");
    return map;
}

/* The arguments of the tracepoint: address, registers, error code, of which bit 0 says that the page is
 * there and bit 1 that it is written (`enum x86_pf_error_code`, arch/x86/include/asm/trap_pf.h, 6.18). */
static int load_keeping(void) {
    struct bpf_insn keep[] = {
        MOVE(BPF_REG_6, BPF_REG_1),
        LOAD(BPF_REG_1, BPF_REG_1, 16),
        AND(BPF_REG_1, 3),
        {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_1, .off = 13, .imm = 3},
        LOAD(BPF_REG_6, BPF_REG_6, 0),
        AND(BPF_REG_6, -PAGE),
        {.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -4, .imm = 0},
        MOVE(BPF_REG_2, BPF_REG_10),
        ADD(BPF_REG_2, -4),
        {.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = BPF_REG_1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = make_room()},
        {.code = 0},
        CALL(BPF_FUNC_map_lookup_elem),
        {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = 4, .imm = 0},
        MOVE(BPF_REG_1, BPF_REG_0),
        SET(BPF_REG_2, PAGE),
        MOVE(BPF_REG_3, BPF_REG_6),
        CALL(BPF_FUNC_probe_read_user),
        SET(BPF_REG_0, 0),
        DONE,
    };
    return load(BPF_PROG_TYPE_RAW_TRACEPOINT, keep, sizeof keep / sizeof *keep);
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
    int raw = load_empty(BPF_PROG_TYPE_RAW_TRACEPOINT), keeping = load_keeping();
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "raw:", 4) == 0) {
            attach_raw(raw, argv[i] + 4);
        } else if (strncmp(argv[i], "keep:", 5) == 0) {
            attach_raw(keeping, argv[i] + 5);
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

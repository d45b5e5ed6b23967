//! Birth, program change and death of tasks.
//!
//! Each program exists twice. Where the kernel describes its structures, the raw tracepoints are used:
//! no record is made for the programs, they run though another one is at work on the CPU, and to detach
//! them takes no time (`__bpf_trace_run`, `kernel/trace/bpf_trace.c`, Linux 6.18; closing the perf event
//! of another tracepoint waits until no task can be in its program, `perf_trace_event_unreg`,
//! `kernel/trace/trace_event_perf.c`).
//!
//! A clone shows twice in its creator: `task_newtask` has the flags, `sched_process_fork` comes
//! after it and before the child first runs (`kernel_clone`, `kernel/fork.c`, Linux 6.18). io
//! workers of the kernel pass the first only, so that a task is announced at the second.

use aya_ebpf::{
    EbpfContext,
    helpers::{
        bpf_probe_read_kernel, bpf_probe_read_kernel_str_bytes, generated::bpf_get_current_task,
    },
    macros::{raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};
use aya_log_ebpf::debug;
use forktrace_common::{
    clone_flags,
    config::NO_FIELD,
    maps::{Counter, Forker, NewTask, Risk},
    record::{Exec, Exit, FILENAME_LEN, Fork, Kind, Leftover},
};

use crate::{
    config::{config, current, field, traced},
    lock,
    maps::{
        AT_RISK, ATTEMPTS, FORK_FAMILY, FORKERS, NEW_TASKS, RISK_HINTS, TRACED, TRACED_HINTS,
        WAIT_HINTS, WAITS, count,
    },
    pid_bitmap, registers,
    ring::{dropped, emit, now},
};

/// Keeps the clone flags until `sched_process_fork` of the same clone.
#[tracepoint]
pub(crate) fn task_newtask(ctx: TracePointContext) -> u32 {
    new_task(|| {
        (field(&ctx, config!(offsets.newtask_pid)), field(&ctx, config!(offsets.newtask_flags)))
    });
    0
}

/// `TP_PROTO(struct task_struct *task, u64 clone_flags)` (`include/trace/events/task.h`, Linux 6.18;
/// 5.10 has `unsigned long`).
#[raw_tracepoint(tracepoint = "task_newtask")]
pub(crate) fn raw_task_newtask(ctx: RawTracePointContext) -> i32 {
    new_task(|| (tid_of(ctx.arg(0)), ctx.arg(1)));
    0
}

/// Announces a new process or thread, and follows it.
#[tracepoint]
pub(crate) fn sched_process_fork(ctx: TracePointContext) -> u32 {
    forked(&ctx, || field(&ctx, config!(offsets.fork_child_pid)));
    0
}

/// `TP_PROTO(struct task_struct *parent, struct task_struct *child)` (`include/trace/events/sched.h`,
/// Linux 5.10 and 6.18).
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub(crate) fn raw_sched_process_fork(ctx: RawTracePointContext) -> i32 {
    forked(&ctx, || tid_of(ctx.arg(1)));
    0
}

/// Announces a new program: the inherited memory, and every lock in it, is gone.
#[tracepoint]
pub(crate) fn sched_process_exec(ctx: TracePointContext) -> u32 {
    execed(&ctx, field(&ctx, config!(offsets.exec_old_pid)), || {
        // A __data_loc field: the low half is the string's offset in the record, the high its length.
        let location: u32 = field(&ctx, config!(offsets.exec_filename));
        ctx.as_ptr().cast::<u8>().wrapping_add((location & 0xffff) as usize).cast_const()
    });
    0
}

/// `TP_PROTO(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)`
/// (`include/trace/events/sched.h`, Linux 5.10 and 6.18).
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub(crate) fn raw_sched_process_exec(ctx: RawTracePointContext) -> i32 {
    let old_tid: u64 = ctx.arg(1);
    execed(&ctx, old_tid as u32, || {
        let program: *const u8 = ctx.arg(2);
        let name = program.wrapping_add(config!(offsets.binprm_filename) as usize);
        // SAFETY: the helper checks the read.
        unsafe { bpf_probe_read_kernel(name.cast::<*const u8>()) }.unwrap_or(core::ptr::null())
    });
    0
}

/// Announces the end of a thread, and of its process with its last.
#[tracepoint]
pub(crate) fn sched_process_exit(ctx: TracePointContext) -> u32 {
    ended(&ctx, || field::<u8>(&ctx, config!(offsets.exit_group_dead)) != 0);
    0
}

/// `TP_PROTO(struct task_struct *p, bool group_dead)` (`include/trace/events/sched.h`, Linux 6.18; before
/// 6.16 the first alone, and the kernel refuses a program that reads the second).
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn raw_sched_process_exit(ctx: RawTracePointContext) -> i32 {
    ended(&ctx, || ctx.arg::<u64>(1) & 1 != 0);
    0
}

/// The number of a task; zero if it cannot be read, which a valid offset never does.
#[inline(always)]
fn tid_of(task: *const u8) -> u32 {
    let place = task.wrapping_add(config!(offsets.task_pid) as usize);
    // SAFETY: the helper checks the read.
    unsafe { bpf_probe_read_kernel(place.cast::<u32>()) }.unwrap_or_default()
}

/// `new`: the new task's number and its clone flags.
#[inline(always)]
fn new_task(new: impl FnOnce() -> (u32, u64)) {
    let (tgid, tid) = current();
    if traced(tgid) {
        let (child_tid, clone_flags) = new();
        let new = NewTask { clone_flags, child_tid, reserved: 0 };
        // A table without room shows as a dropped fork at sched_process_fork.
        let _ = NEW_TASKS.insert(&tid, &new, 0);
    }
}

/// `child`: the new task's number.
#[inline(always)]
fn forked(ctx: &impl EbpfContext, child: impl FnOnce() -> u32) {
    let (tgid, tid) = current();
    if pid_bitmap::bits(&RISK_HINTS, tgid) & pid_bitmap::AT_RISK != 0
        && let Some(risk) = AT_RISK.get_ptr_mut(&tgid)
    {
        // A thread or another process that has this memory, which has not run yet; at worst it has none.
        // SAFETY: a word of its own in a live entry; every writer writes the same value.
        unsafe { (*risk).threads = 1 };
    }
    if !traced(tgid) {
        return;
    }
    let child_tid = child();
    // SAFETY: the entry is written by this task only, which is here now.
    let flags = match unsafe { NEW_TASKS.get(&tid) } {
        Some(new) if new.child_tid == child_tid => new.clone_flags,
        _ => {
            dropped(Kind::Fork);
            return;
        }
    };
    let _ = NEW_TASKS.remove(&tid);
    let boot_ns = now();
    // For threads too: the entry of the system call could not tell what it would make.
    let enter_ns = if config!(locks) != 0 { lock::fork_done(tgid, boot_ns) } else { 0 };
    if !clone_flags::is_thread(flags) {
        follow(child_tid);
        if clone_flags::copies_memory(flags) {
            pid_bitmap::advance(&FORK_FAMILY, tgid);
            pid_bitmap::note(&FORK_FAMILY, child_tid);
            let at_fork =
                if config!(registers) != 0 { registers::of_current() } else { Default::default() };
            let blocked = blocked_signals();
            let risk = Risk {
                fork_ns: boot_ns,
                fork_tid: tid,
                enter_ns,
                at_fork,
                blocked,
                ..Risk::default()
            };
            register(ctx, child_tid, &risk, tgid);
        }
    }
    emit::<Fork>(ctx, Kind::Fork, boot_ns, |fork| {
        // SAFETY: reserved memory of the payload's size.
        unsafe { fork.write(Fork { clone_flags: flags, child_tid, reserved: 0 }) }
    });
}

/// The signals that the current task has blocked; 0: none, or not known.
#[inline(always)]
fn blocked_signals() -> u64 {
    let offset = config!(offsets.task_blocked);
    if offset == NO_FIELD {
        return 0;
    }
    // SAFETY: the place is what the kernel's own description says, and the helper checks the read.
    let mask = unsafe {
        let task = bpf_get_current_task() as *const u8;
        bpf_probe_read_kernel(task.wrapping_add(offset as usize).cast::<u64>())
    };
    mask.unwrap_or(0)
}

/// Puts a new process under the same filter as its creator.
#[inline(always)]
fn follow(child: u32) {
    if config!(trace_all) == 0 && config!(follow) != 0 {
        match TRACED.insert(&child, &1, 0) {
            Ok(()) => pid_bitmap::note(&TRACED_HINTS, child),
            Err(_) => count(Counter::ProcessesUntraced),
        }
    }
}

/// Remembers a child that has its own copy of the memory, and that its creator's pages are shared
/// again from here on.
#[inline(always)]
fn register(ctx: &impl EbpfContext, child: u32, risk: &Risk, tgid: u32) {
    if let Some(creator) = AT_RISK.get_ptr_mut(&tgid) {
        // SAFETY: a word of its own in a live entry; every writer writes the same value.
        unsafe { (*creator).forked = 1 };
    }
    match AT_RISK.insert(&child, risk, 0) {
        Ok(()) => pid_bitmap::note(&RISK_HINTS, child),
        Err(_) => {
            count(Counter::ChildrenUntracked);
            debug!(ctx, "no room to follow the memory of child {}", child);
        }
    }
    let forker = Forker { fork_ns: risk.fork_ns, child, reserved: 0 };
    pid_bitmap::add(&RISK_HINTS, tgid, pid_bitmap::FORKED);
    if FORKERS.insert(&tgid, &forker, 0).is_err() {
        // What is written from here on must not pass for written since the fork before.
        let _ = FORKERS.remove(&tgid);
    }
}

/// Ends the watch on a child's inherited memory and says what is left of it in the maps.
#[inline(always)]
fn leave(tgid: u32) -> Leftover {
    let _ = FORKERS.remove(&tgid);
    // The entry below is removed without being looked for by its bit.
    pid_bitmap::clear(&RISK_HINTS, tgid);
    pid_bitmap::clear(&FORK_FAMILY, tgid);
    // SAFETY: only the process itself (here) and a collector that knows it is dead remove entries.
    let leftover = match unsafe { AT_RISK.get(&tgid) } {
        Some(risk) => Leftover {
            fork_ns: risk.fork_ns,
            pages: risk.pages,
            woken_words: risk.woken_words,
            written: risk.written,
            absent: risk.absent,
        },
        None => return Leftover::default(),
    };
    let _ = AT_RISK.remove(&tgid);
    leftover
}

/// `old_tid`: the thread that called exec; `name`: where the program's name is.
#[inline(always)]
fn execed(ctx: &impl EbpfContext, old_tid: u32, name: impl FnOnce() -> *const u8) {
    let (tgid, _) = current();
    if !traced(tgid) {
        return;
    }
    let leftover = leave(tgid);
    let name = name();
    emit::<Exec>(ctx, Kind::Exec, now(), |exec| {
        // SAFETY: reserved memory of the payload's size; the helper bounds what it writes.
        unsafe {
            (&raw mut (*exec).leftover).write(leftover);
            (&raw mut (*exec).old_tid).write(old_tid);
            let target = &raw mut (*exec).filename;
            target.write([0; FILENAME_LEN]);
            let read = bpf_probe_read_kernel_str_bytes(name, &mut *target);
            let length = match read {
                Ok(bytes) => bytes.len() as i32,
                Err(_) => -1,
            };
            (&raw mut (*exec).filename_len).write(length);
        }
    });
}

/// The wait status of the current task, which is ending: `do_exit` (kernel/exit.c, 6.18) has set it before
/// the tracepoint, and `do_group_exit` gives every thread that of the process.
#[inline(always)]
fn status() -> u32 {
    let offset = config!(offsets.task_exit_code);
    if offset == NO_FIELD {
        return Exit::NO_STATUS;
    }
    // SAFETY: the place is what the kernel's own description says, and the helper checks the read.
    let status = unsafe {
        let task = bpf_get_current_task() as *const u8;
        bpf_probe_read_kernel(task.wrapping_add(offset as usize).cast::<u32>())
    };
    status.unwrap_or(Exit::NO_STATUS)
}

/// `is_last`: whether the thread is the last of its process; asked only where the kernel tells.
#[inline(always)]
fn ended(ctx: &impl EbpfContext, is_last: impl FnOnce() -> bool) {
    let (tgid, tid) = current();
    if !traced(tgid) {
        return;
    }
    if pid_bitmap::possible(&WAIT_HINTS, tid) {
        let _ = WAITS.remove(&tid);
        pid_bitmap::clear(&WAIT_HINTS, tid);
    }
    let _ = NEW_TASKS.remove(&tid);
    if config!(locks) != 0 {
        let _ = ATTEMPTS.remove(&tid);
    }
    let group = if config!(offsets.exit_group_dead) == NO_FIELD {
        Exit::UNKNOWN
    } else if is_last() {
        Exit::GROUP_DEAD
    } else {
        Exit::ALIVE
    };
    let mut leftover = Leftover::default();
    if group == Exit::GROUP_DEAD {
        leftover = leave(tgid);
        if config!(trace_all) == 0 {
            let _ = TRACED.remove(&tgid);
            pid_bitmap::clear(&TRACED_HINTS, tgid);
        }
    }
    emit::<Exit>(ctx, Kind::Exit, now(), |exit| {
        // SAFETY: reserved memory of the payload's size.
        unsafe { exit.write(Exit { leftover, group, status: status() }) }
    });
}

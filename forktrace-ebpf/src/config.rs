//! The collector's decisions, read as constants.

use aya_ebpf::{EbpfContext, helpers::bpf_get_current_pid_tgid, programs::TracePointContext};
use forktrace_common::config::Config;

use crate::{
    maps::{TRACED, TRACED_HINTS},
    pid_bitmap::known,
};

/// Overwritten by the collector before loading.
#[unsafe(no_mangle)]
static CONFIG: Config = Config {
    min_wait_ns: 0,
    self_tgid: 0,
    trace_all: 0,
    follow: 0,
    stream: 0,
    snapshots: 0,
    child_page_cap: 0,
    registers: 0,
    locks: 0,
    offsets: forktrace_common::config::Offsets {
        newtask_pid: 0,
        newtask_flags: 0,
        fork_child_pid: 0,
        exec_filename: 0,
        exec_old_pid: 0,
        exit_group_dead: 0,
        futex_uaddr: 0,
        futex_op: 0,
        futex_val: 0,
        futex_utime: 0,
        wait_uaddr: 0,
        wait_val: 0,
        wait_timeout: 0,
        waitv_waiters: 0,
        waitv_nr: 0,
        waitv_timeout: 0,
        wake_uaddr: 0,
        requeue_waiters: 0,
        exit_ret: 0,
        task_switches: 0,
        task_exit_code: 0,
        task_pid: 0,
        binprm_filename: 0,
        task_blocked: 0,
    },
    sockets: forktrace_common::socket::SocketOffsets {
        socket: 0,
        kind: 0,
        shutdown: 0,
        family: 0,
        state: 0,
        peer_v4: 0,
        local_v4: 0,
        peer_v6: 0,
        local_v6: 0,
        peer_port: 0,
        local_port: 0,
        inode: 0,
        unix_peer: 0,
        unix_addr: 0,
        address_len: 0,
        address_name: 0,
    },
    file_locks: forktrace_common::file_lock::LockOffsets {
        owner: 0,
        flags: 0,
        kind: 0,
        file: 0,
        start: 0,
        end: 0,
        inode: 0,
        superblock: 0,
        device: 0,
        reserved: 0,
    },
};

/// One field of the configuration. The read is volatile because the compiler must not use the
/// zeros above: the real values arrive when the object is loaded.
macro_rules! config {
    ($($field:ident).+) => {
        // SAFETY: the pointer comes from a reference to a live static.
        unsafe { core::ptr::read_volatile(&raw const $crate::config::static_config().$($field).+) }
    };
}
pub(crate) use config;

#[inline(always)]
pub(crate) fn static_config() -> &'static Config {
    &CONFIG
}

/// The current task, as (tgid, tid).
#[inline(always)]
pub(crate) fn current() -> (u32, u32) {
    let both = bpf_get_current_pid_tgid();
    ((both >> 32) as u32, both as u32)
}

/// Whether a process is traced.
#[inline(always)]
pub(crate) fn traced(tgid: u32) -> bool {
    if config!(trace_all) != 0 {
        tgid != config!(self_tgid)
    } else {
        // A byte is set for those in the table and for no others.
        match known(&TRACED_HINTS, tgid) {
            Some(traced) => traced,
            None => TRACED.get_ptr(&tgid).is_some(),
        }
    }
}

/// Reads a tracepoint field; zero if that fails, which a valid offset never does.
#[inline(always)]
pub(crate) fn field<T: Copy + Default>(ctx: &TracePointContext, offset: u32) -> T {
    // SAFETY: the offset is one of the tracepoint's own `format`, and the helper checks the read.
    unsafe { ctx.read_at(offset as usize) }.unwrap_or_default()
}

/// A system call's argument, or its result: eight bytes that are at `USUAL` in the record on 64-bit
/// kernels (`struct syscall_trace_enter` and `syscall_trace_exit`, `kernel/trace/trace.h`, Linux 6.18)
/// and are read there without the call of a helper.
#[inline(always)]
pub(crate) fn argument<const USUAL: u32>(ctx: &TracePointContext, offset: u32) -> u64 {
    if offset != USUAL {
        return field(ctx, offset);
    }
    // SAFETY: the tracepoint has a field there, and the kernel refuses programs that read beyond.
    unsafe { ctx.as_ptr().cast::<u8>().add(USUAL as usize).cast::<u64>().read_volatile() }
}

/// The current task's name.
#[inline(always)]
pub(crate) fn comm(ctx: &impl EbpfContext) -> [u8; 16] {
    ctx.command().unwrap_or_default()
}

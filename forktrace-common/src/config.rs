//! What the collector decides before the programs are loaded.
//!
//! The value becomes read-only data of the loaded object, so the verifier sees constants and
//! removes the branches that are switched off.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Name of the global that holds [`Config`].
pub const CONFIG_GLOBAL: &str = "CONFIG";

/// Stands for a tracepoint field that this kernel does not have.
pub const NO_FIELD: u32 = u32::MAX;

/// Byte offsets of the tracepoint fields that the programs read, from each tracepoint's `format`
/// file in tracefs. They differ between kernels, so none is known at compile time.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Offsets {
    /// `task:task_newtask` `pid`: the new task's tid.
    pub newtask_pid: u32,
    /// `task:task_newtask` `clone_flags`.
    pub newtask_flags: u32,
    /// `sched:sched_process_fork` `child_pid`: the new task's tid.
    pub fork_child_pid: u32,
    /// `sched:sched_process_exec` `filename` (a `__data_loc`).
    pub exec_filename: u32,
    /// `sched:sched_process_exec` `old_pid`: the tid of the thread that called exec.
    pub exec_old_pid: u32,
    /// `sched:sched_process_exit` `group_dead`, or [`NO_FIELD`] (absent before 6.16).
    pub exit_group_dead: u32,
    /// `sys_enter_futex` `uaddr`.
    pub futex_uaddr: u32,
    /// `sys_enter_futex` `op`.
    pub futex_op: u32,
    /// `sys_enter_futex` `val`.
    pub futex_val: u32,
    /// `sys_enter_futex` `utime`.
    pub futex_utime: u32,
    /// `sys_enter_futex_wait` `uaddr`, or [`NO_FIELD`] (absent before 6.7), likewise below.
    pub wait_uaddr: u32,
    /// `sys_enter_futex_wait` `val`.
    pub wait_val: u32,
    /// `sys_enter_futex_wait` `timeout`.
    pub wait_timeout: u32,
    /// `sys_enter_futex_waitv` `waiters`, or [`NO_FIELD`] (absent before 5.16).
    pub waitv_waiters: u32,
    /// `sys_enter_futex_waitv` `nr_futexes`.
    pub waitv_nr: u32,
    /// `sys_enter_futex_waitv` `timeout`.
    pub waitv_timeout: u32,
    /// `sys_enter_futex_wake` `uaddr`, or [`NO_FIELD`] (absent before 6.7).
    pub wake_uaddr: u32,
    /// `sys_enter_futex_requeue` `waiters`, or [`NO_FIELD`] (absent before 6.7).
    pub requeue_waiters: u32,
    /// `ret` of every `sys_exit_futex*` tracepoint.
    pub exit_ret: u32,
    /// `nvcsw` of `struct task_struct`, or [`NO_FIELD`] where the kernel does not describe itself.
    pub task_switches: u32,
    /// `exit_code` of `struct task_struct`, or [`NO_FIELD`] where the kernel does not describe itself.
    pub task_exit_code: u32,
    /// `pid` of `struct task_struct`, likewise.
    pub task_pid: u32,
    /// `filename` of `struct linux_binprm`, likewise.
    pub binprm_filename: u32,
    /// `blocked` of `struct task_struct`, likewise.
    pub task_blocked: u32,
}

/// The programs' configuration.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Config {
    /// Waits shorter than this many ns cost no event.
    pub min_wait_ns: u64,
    /// The collector's own tgid, never traced.
    pub self_tgid: u32,
    /// 1: every process of the host is traced, the map of traced processes is not asked.
    pub trace_all: u32,
    /// 1: children of traced processes are traced.
    pub follow: u32,
    /// 1: every wait and every wake becomes an event.
    pub stream: u32,
    /// 1: pages are kept as a child inherited them.
    pub snapshots: u32,
    /// The most pages (of 4096 bytes) kept for one child.
    pub child_page_cap: u32,
    /// 1: the kernel lets programs see a task's registers (from 5.15).
    pub registers: u32,
    /// 1: calls of lock functions are probed, so that times of forks are needed too.
    pub locks: u32,
    /// Field offsets of this kernel.
    pub offsets: Offsets,
    /// Where this kernel's structures of sockets have their fields.
    pub sockets: crate::socket::SocketOffsets,
    /// The same of locks on files.
    pub file_locks: crate::file_lock::LockOffsets,
}

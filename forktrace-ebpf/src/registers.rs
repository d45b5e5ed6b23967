//! The user space registers of a task that is inside the kernel.
//!
//! Where a task entered the kernel, its registers were saved in `struct pt_regs`. The helper that
//! finds them came with Linux 5.15, and is not called where the collector says that it is missing.

use aya_ebpf::{
    bindings::{seq_file, task_struct},
    helpers::{
        bpf_probe_read_kernel,
        generated::{bpf_get_current_task_btf, bpf_seq_write, bpf_task_pt_regs},
    },
};
use forktrace_common::maps::Registers;

use crate::arch::{self, SavedRegisters};

/// What an iterator over tasks is given: `struct bpf_iter__task`, `kernel/bpf/task_iter.c`, 6.18.
#[repr(C)]
struct Visit {
    meta: *const Meta,
    /// Null after the last task.
    task: *mut task_struct,
}

/// The beginning of `struct bpf_iter_meta`, `include/linux/bpf.h`, 6.18.
#[repr(C)]
struct Meta {
    seq: *mut seq_file,
}

/// Writes the registers of every task visited to whoever reads the iterator.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
fn task_registers(visit: *const Visit) -> i32 {
    // SAFETY: the verifier knows the type of the context and of what it points to.
    unsafe {
        let seq = (*(*visit).meta).seq;
        let task = (*visit).task;
        if !task.is_null() {
            let registers = of(task);
            bpf_seq_write(seq, (&raw const registers).cast(), size_of::<Registers>() as u32);
        }
    }
    0
}

/// Those of the current task, as it called the system call that it is in.
#[inline(always)]
pub(crate) fn of_current() -> Registers {
    // SAFETY: the helper has no argument; the task is the current one.
    unsafe { of(bpf_get_current_task_btf()) }
}

/// Those of a task; all zero if they cannot be read.
///
/// # Safety
/// `task` comes from the kernel.
#[inline(always)]
unsafe fn of(task: *mut task_struct) -> Registers {
    // SAFETY: the caller's promise; the second helper checks what the first returned.
    let saved = unsafe { bpf_probe_read_kernel(bpf_task_pt_regs(task) as *const SavedRegisters) };
    match saved {
        Ok(saved) => arch::preserved_registers(&saved),
        Err(_) => Registers::default(),
    }
}

/// Where the bytes are that a system call sends: addresses of user space.
#[derive(Clone, Copy)]
pub(crate) enum Sent {
    /// The bytes themselves.
    Bytes(u64),
    /// A `struct iovec`.
    Parts(u64),
    /// A `struct msghdr`.
    Message(u64),
    /// Not known, or the call sends none.
    Unknown,
}

/// The descriptor of the socket that the current task's system call uses, and what it sends; `None`: not
/// known, as of an io_uring.
#[inline(always)]
pub(crate) fn socket_call() -> Option<(i32, Sent)> {
    // SAFETY: the helpers have no argument, or the current task.
    let saved = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) as *const _ };
    arch::socket_call(saved)
}

/// The descriptor of the file of which the current task's system call takes a lock or gives one back;
/// `None`: not known, or another call.
#[inline(always)]
pub(crate) fn lock_call() -> Option<i32> {
    // SAFETY: the helpers have no argument, or the current task.
    let saved = unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) as *const _ };
    arch::lock_call(saved)
}

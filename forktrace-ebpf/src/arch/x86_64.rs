//! x86-64.
//!
//! Where a task enters the kernel its registers are saved in `struct pt_regs`, whose layout is part
//! of the kernel's interface (`arch/x86/include/uapi/asm/ptrace.h` and `ptrace-abi.h`).

use aya_ebpf::{
    bindings::{bpf_perf_event_data, pt_regs},
    helpers::{bpf_probe_read_kernel, bpf_probe_read_user},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use forktrace_common::maps::Registers;

use crate::{fault::write_to_present, registers::Sent};

/// What is saved of a task's registers.
pub(crate) type SavedRegisters = pt_regs;

/// Where the instruction pointer is in `struct pt_regs`, bytes.
const FAULT_IP: usize = 128;

/// `error_code` of a write (bit 1) to a page that is present (bit 0): `enum x86_pf_error_code`,
/// `arch/x86/include/asm/trap_pf.h`.
const WRITE_TO_PRESENT: u64 = 3;

/// A write by the child's own code. The tracepoints fire before the fault is handled
/// (`trace_page_fault_entries` in `exc_page_fault`, `arch/x86/mm/fault.c`, Linux 6.18).
///
/// The programs are on the raw tracepoints: no record is made of a fault for which there is nothing to
/// do, and that some other program is at work on the CPU does not keep these from running
/// (`__bpf_trace_run`, `kernel/trace/bpf_trace.c`, Linux 6.18). So what is missed is no more than a
/// fault in the middle of the same program, which only reads user memory.
#[raw_tracepoint]
pub(crate) fn page_fault_user(ctx: RawTracePointContext) -> i32 {
    raw_fault(&ctx);
    0
}

/// A write by the kernel on the child's behalf, such as `read(2)` into its memory.
#[raw_tracepoint]
pub(crate) fn page_fault_kernel(ctx: RawTracePointContext) -> i32 {
    raw_fault(&ctx);
    0
}

/// `TP_PROTO(unsigned long address, struct pt_regs *regs, unsigned long error_code)`
/// (`arch/x86/include/asm/trace/exceptions.h`, Linux 5.10 and 6.18).
#[inline(always)]
fn raw_fault(ctx: &RawTracePointContext) {
    let error: u64 = ctx.arg(2);
    if error & WRITE_TO_PRESENT != WRITE_TO_PRESENT {
        return;
    }
    let regs: *const u8 = ctx.arg(1);
    // SAFETY: the helper checks the read.
    let ip = || unsafe { bpf_probe_read_kernel(regs.wrapping_add(FAULT_IP).cast::<u64>()) };
    write_to_present(ctx, ctx.arg(0), || ip().unwrap_or_default());
}

/// The registers that a function preserves for its caller, and where the task was.
#[inline(always)]
pub(crate) fn preserved_registers(saved: &SavedRegisters) -> Registers {
    Registers {
        ip: saved.rip,
        sp: saved.rsp,
        frame: saved.rbp,
        preserved: [saved.rbx, saved.r12, saved.r13, saved.r14, saved.r15],
    }
}

/// The instruction that made the access that a perf event is about.
#[inline(always)]
pub(crate) fn writer(data: &bpf_perf_event_data) -> u64 {
    data.regs.rip
}

/// Where a function returns to that has just been called: the return address is on top of the stack.
///
/// # Safety
/// `registers` are those of a probed task.
#[inline(always)]
pub(crate) unsafe fn caller(registers: *const pt_regs) -> u64 {
    // SAFETY: the caller's promise; the helper checks the read.
    unsafe { bpf_probe_read_user((*registers).rsp as *const u64) }.unwrap_or_default()
}

/// The descriptor that a call for a lock on a file uses; `None`: another call. The numbers: as below.
#[inline(always)]
pub(crate) fn lock_call(saved: *const SavedRegisters) -> Option<i32> {
    // SAFETY: the helper checks the source.
    let field = |at: *const u64| unsafe { bpf_probe_read_kernel(at) }.unwrap_or(0);
    // SAFETY: fields of what `saved` points to; nothing is read through it here.
    let (number, first) =
        unsafe { (field(&raw const (*saved).orig_rax), field(&raw const (*saved).rdi)) };
    // fcntl, flock
    matches!(number, 72 | 73).then_some(first as i32)
}

/// The descriptor of the socket that a system call sends over or receives from, and where what it sends
/// is; `None`: another call. The numbers: `arch/x86/entry/syscalls/syscall_64.tbl`.
#[inline(always)]
pub(crate) fn socket_call(saved: *const SavedRegisters) -> Option<(i32, Sent)> {
    // Each by itself: all of them together need more of the program's stack than it has.
    // SAFETY: the helper checks the source.
    let field = |at: *const u64| unsafe { bpf_probe_read_kernel(at) }.unwrap_or(0);
    // SAFETY: fields of what `saved` points to; nothing is read through it here.
    let (number, first, second) = unsafe {
        (
            field(&raw const (*saved).orig_rax),
            field(&raw const (*saved).rdi) as i32,
            field(&raw const (*saved).rsi),
        )
    };
    Some(match number {
        // write, sendto
        1 | 44 => (first, Sent::Bytes(second)),
        // writev
        20 => (first, Sent::Parts(second)),
        // sendmsg, sendmmsg, whose messages begin alike
        46 | 307 => (first, Sent::Message(second)),
        // read, readv, sendfile, recvfrom, recvmsg, recvmmsg
        0 | 19 | 40 | 45 | 47 | 299 => (first, Sent::Unknown),
        // splice
        275 => {
            // SAFETY: as above.
            let third = unsafe { &raw const (*saved).rdx };
            (field(third) as i32, Sent::Unknown)
        }
        _ => return None,
    })
}

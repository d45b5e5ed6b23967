//! arm64.
//!
//! Where a task enters the kernel its registers are saved in `struct pt_regs`, which begins with
//! `struct user_pt_regs`, part of the kernel's interface (`arch/arm64/include/uapi/asm/ptrace.h`).

use aya_ebpf::{
    bindings::{bpf_perf_event_data, pt_regs, user_pt_regs},
    helpers::{bpf_probe_read_kernel, bpf_probe_read_user},
};
use forktrace_common::{aarch64::is_end_of_atomic_helper, maps::Registers};

use crate::registers::Sent;

/// The beginning of `struct pt_regs`, `arch/arm64/include/asm/ptrace.h`, Linux 6.1 and 6.18,
/// little-endian.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct SavedRegisters {
    user: user_pt_regs,
    /// The first argument of a system call, whose result takes its register.
    orig_x0: u64,
    syscallno: i32,
}

/// Numbers of the frame pointer and of the link register (AAPCS64, 6.1.1).
const FRAME: usize = 29;
const LINK: usize = 30;

/// The registers that a function preserves for its caller, as far as unwinding takes them, and where
/// the task was.
#[inline(always)]
pub(crate) fn preserved_registers(saved: &SavedRegisters) -> Registers {
    let user = &saved.user;
    Registers {
        ip: user.pc,
        sp: user.sp,
        frame: user.regs[FRAME],
        preserved: [user.regs[LINK], 0, 0, 0, 0],
    }
}

/// The instruction that made the access that a perf event is about. Of one in a helper for atomic
/// operations: the call of that helper, which is how a compiler writes the operation.
#[inline(always)]
pub(crate) fn writer(data: &bpf_perf_event_data) -> u64 {
    let at = data.regs.pc;
    // SAFETY: the helper checks the read; of an instruction of the kernel it reads nothing.
    let code = unsafe { bpf_probe_read_user(at as *const [u32; 4]) };
    match code {
        Ok(code) if is_end_of_atomic_helper(&code) => data.regs.regs[LINK].wrapping_sub(4),
        _ => at,
    }
}

/// Where a function returns to that has just been called: the link register has the address.
///
/// # Safety
/// `registers` are those of a probed task.
#[inline(always)]
pub(crate) unsafe fn caller(registers: *const pt_regs) -> u64 {
    // SAFETY: the caller's promise: the context of a program, of which `struct user_pt_regs` is shown.
    unsafe { (*registers.cast::<user_pt_regs>()).regs[LINK] }
}

/// The descriptor that a call for a lock on a file uses; `None`: another call. The numbers: as below.
#[inline(always)]
pub(crate) fn lock_call(saved: *const SavedRegisters) -> Option<i32> {
    // SAFETY: the helper checks the sources; nothing is read through `saved` here.
    let (number, first) = unsafe {
        (
            bpf_probe_read_kernel(&raw const (*saved).syscallno).unwrap_or(-1),
            bpf_probe_read_kernel(&raw const (*saved).orig_x0).unwrap_or(0),
        )
    };
    // fcntl, flock
    matches!(number, 25 | 32).then_some(first as i32)
}

/// The descriptor of the socket that a system call sends over or receives from, and where what it sends
/// is; `None`: another call. The numbers: `scripts/syscall.tbl`, Linux 6.18.
#[inline(always)]
pub(crate) fn socket_call(saved: *const SavedRegisters) -> Option<(i32, Sent)> {
    // Each by itself: all of them together need more of the program's stack than it has.
    // SAFETY: the helper checks the source.
    let field = |at: *const u64| unsafe { bpf_probe_read_kernel(at) }.unwrap_or(0);
    // SAFETY: fields of what `saved` points to; nothing is read through it here.
    let (number, first, second) = unsafe {
        (
            bpf_probe_read_kernel(&raw const (*saved).syscallno).unwrap_or(-1),
            field(&raw const (*saved).orig_x0) as i32,
            field(&raw const (*saved).user.regs[1]),
        )
    };
    Some(match number {
        // write, sendto
        64 | 206 => (first, Sent::Bytes(second)),
        // writev
        66 => (first, Sent::Parts(second)),
        // sendmsg, sendmmsg, whose messages begin alike
        211 | 269 => (first, Sent::Message(second)),
        // read, readv, sendfile, recvfrom, recvmsg, recvmmsg
        63 | 65 | 71 | 207 | 212 | 243 => (first, Sent::Unknown),
        // splice
        76 => {
            // SAFETY: as above.
            let third = unsafe { &raw const (*saved).user.regs[2] };
            (field(third) as i32, Sent::Unknown)
        }
        _ => return None,
    })
}

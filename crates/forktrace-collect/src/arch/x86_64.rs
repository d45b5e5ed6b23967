//! x86-64.

use std::sync::Arc;

use forktrace_common::maps::Registers;
use framehop::x86_64::{CacheX86_64, Reg, UnwindRegsX86_64, UnwinderX86_64};

use super::{Arch, Blocking, Descriptor, FutexCalls};

/// What is known of x86-64.
pub const ARCH: Arch = Arch {
    facts: &forktrace_model::arch::X86_64,
    // `arch/x86/entry/syscalls/syscall_64.tbl`, Linux 6.18.
    calls: FutexCalls { futex: 202, futex_waitv: 449, futex_wait: 455 },
    blocking: &[
        (Blocking::Read, &[0, 17, 19, 43, 45, 47, 288, 295, 327]),
        (Blocking::Write, &[1, 18, 20, 40, 44, 46, 296, 307, 328]),
        (Blocking::ReadMany, &[299]),
        (Blocking::Splice, &[275]),
        (Blocking::Poll, &[7]),
        (Blocking::PollTime, &[271]),
        (Blocking::Select, &[23, 270]),
        (Blocking::Epoll, &[232, 281]),
        (Blocking::EpollTime, &[441]),
        (Blocking::Wait, &[61]),
        (Blocking::WaitId, &[247]),
        (Blocking::Flock, &[73]),
        (Blocking::Fcntl, &[72]),
        (Blocking::Vfork, &[58]),
        (Blocking::Clone, &[56]),
        (Blocking::Clone3, &[435]),
        (Blocking::Semop, &[65]),
        (Blocking::SemopTime, &[220]),
        (Blocking::Open, &[2, 85, 257, 437]),
        (Blocking::Connect, &[42]),
        (Blocking::Message, &[69, 70]),
        (Blocking::MessageTime, &[242, 243]),
        (Blocking::Sleep, &[35, 230]),
        (Blocking::Ring, &[426]),
    ],
    descriptor: Descriptor {
        // Behind `tcbhead_t`, glibc 2.36 and 2.42.
        tid: 0x2d0,
        // `tcb` and `self` of `tcbhead_t`, `sysdeps/x86_64/nptl/tls.h`.
        own_addresses: &[(0, 0), (0x10, 0)],
    },
    // `arch/x86/include/asm/trace/exceptions.h`, Linux 5.10 and 6.18.
    has_fault_tracepoints: true,
};

/// Walks stacks.
pub type Unwinder = UnwinderX86_64<Arc<[u8]>>;
/// What the unwinder remembers.
pub type UnwindCache = CacheX86_64;
/// The registers that the unwinder takes from frame to frame.
pub type UnwindRegisters = UnwindRegsX86_64;

/// The registers that unwinding begins with: those that a function preserves for its caller (System
/// V ABI, AMD64 supplement, 3.2.1).
pub fn unwind_registers(start: &Registers) -> UnwindRegisters {
    let mut registers = UnwindRegsX86_64::new(start.ip, start.sp, start.frame);
    let names = [Reg::RBX, Reg::R12, Reg::R13, Reg::R14, Reg::R15];
    for (name, value) in names.into_iter().zip(start.preserved) {
        registers.set(name, value);
    }
    registers
}

/// `call rel32`, and its size.
const CALL: u8 = 0xe8;
const CALL_SIZE: usize = 5;
/// `lea rel32(%rip), %rdx`, and its size.
const LEA_RDX: [u8; 3] = [0x48, 0x8d, 0x15];
const LEA_SIZE: usize = 7;

/// The first address that `code`, whose first byte is at `address`, calls.
pub(crate) fn first_call(code: &[u8], address: u64) -> Option<u64> {
    let at = code.iter().position(|byte| *byte == CALL)?;
    target(code, at + 1, address.checked_add((at + CALL_SIZE) as u64)?)
}

/// `_dl_fini` of glibc's loader, whose entry point is at `address`: it is handed to the program in `%rdx`
/// (`RTLD_START`, `sysdeps/x86_64/dl-machine.h`, glibc 2.36; `dl_relocate_ld.h` and `start.S` beside it
/// since).
pub(crate) fn end_of_program(code: &[u8], address: u64) -> Option<u64> {
    let at = code.windows(LEA_RDX.len()).position(|bytes| bytes == LEA_RDX)?;
    target(code, at + LEA_RDX.len(), address.checked_add((at + LEA_SIZE) as u64)?)
}

fn target(code: &[u8], at: usize, after: u64) -> Option<u64> {
    let offset = i32::from_le_bytes(code.get(at..at.checked_add(4)?)?.try_into().ok()?);
    after.checked_add_signed(offset.into())
}

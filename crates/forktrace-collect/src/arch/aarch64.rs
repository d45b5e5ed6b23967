//! arm64.

use std::sync::Arc;

use forktrace_common::maps::Registers;
use framehop::aarch64::{CacheAarch64, PtrAuthMask, UnwindRegsAarch64, UnwinderAarch64};

use super::{Arch, Blocking, Descriptor, FutexCalls};

/// What is known of arm64.
pub const ARCH: Arch = Arch {
    facts: &forktrace_model::arch::AARCH64,
    // `scripts/syscall.tbl`, Linux 6.18.
    calls: FutexCalls { futex: 98, futex_waitv: 449, futex_wait: 455 },
    blocking: &[
        (Blocking::Read, &[63, 65, 67, 69, 202, 207, 212, 242, 286]),
        (Blocking::Write, &[64, 66, 68, 70, 71, 206, 211, 269, 287]),
        (Blocking::ReadMany, &[243]),
        (Blocking::Splice, &[76]),
        (Blocking::PollTime, &[73]),
        (Blocking::Select, &[72]),
        (Blocking::Epoll, &[22]),
        (Blocking::EpollTime, &[441]),
        (Blocking::Wait, &[260]),
        (Blocking::WaitId, &[95]),
        (Blocking::Flock, &[32]),
        (Blocking::Fcntl, &[25]),
        (Blocking::Clone, &[220]),
        (Blocking::Clone3, &[435]),
        (Blocking::Semop, &[193]),
        (Blocking::SemopTime, &[192]),
        (Blocking::Open, &[56, 437]),
        (Blocking::Connect, &[203]),
        (Blocking::Message, &[188, 189]),
        (Blocking::MessageTime, &[182, 183]),
        (Blocking::Sleep, &[101, 115]),
        (Blocking::Ring, &[426]),
    ],
    descriptor: Descriptor {
        // Behind `__padding` of 24 words and `list`, `nptl/descr.h`, glibc 2.36 and 2.42.
        tid: 0xd0,
        // `tcbhead_t` has no such word (`sysdeps/aarch64/nptl/tls.h`), but the list of robust mutexes
        // has: `robust_prev`, and `list` of `robust_head`, which are its own address where it is empty
        // (`__tls_init_tp`, `sysdeps/nptl/dl_tls_init_tp.c`, and `allocate_stack`). A thread that has a
        // robust mutex is not recognised.
        own_addresses: &[(0xd8, 0xe0), (0xe0, 0xe0)],
    },
    // None in `arch/arm64`, Linux 6.18: page faults are counted by a perf event.
    has_fault_tracepoints: false,
};

/// Walks stacks.
pub type Unwinder = UnwinderAarch64<Arc<[u8]>>;
/// What the unwinder remembers.
pub type UnwindCache = CacheAarch64;
/// The registers that the unwinder takes from frame to frame.
pub type UnwindRegisters = UnwindRegsAarch64;

/// The registers that unwinding begins with: the link register (`x30`, the first of the preserved
/// ones), the stack pointer and the frame pointer (`x29`).
///
/// Return addresses may carry an authentication code, in the bits above those of an address
/// (`Documentation/arch/arm64/pointer-authentication.rst`, Linux 6.18).
pub fn unwind_registers(start: &Registers) -> UnwindRegisters {
    let [link, ..] = start.preserved;
    let address = PtrAuthMask(ARCH.facts.address_limit - 1);
    UnwindRegsAarch64::new_with_ptr_auth_mask(address, link, start.sp, start.frame)
}

/// `bl`, in the upper six bits.
const CALL: u32 = 0x9400_0000;
const CALL_MASK: u32 = 0xfc00_0000;

/// The first address that `code`, whose first byte is at `address`, calls.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "of another processor"))]
pub(crate) fn first_call(code: &[u8], address: u64) -> Option<u64> {
    let words = code.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_le_bytes));
    let (at, word) = words.enumerate().find(|(_, word)| word & CALL_MASK == CALL)?;
    let offset = (word << 6).cast_signed() >> 6;
    address.checked_add(4 * at as u64)?.checked_add_signed(i64::from(offset) * 4)
}

/// Not known: how the loader hands over its function differs.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code, reason = "of another processor"))]
pub(crate) fn end_of_program(_code: &[u8], _address: u64) -> Option<u64> {
    None
}

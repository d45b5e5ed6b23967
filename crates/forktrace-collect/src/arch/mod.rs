//! What a live trace must know of the processor that it runs on, and whether it can run there.
//!
//! One table for each processor, in a file of its own; every fact with its source. What a log is
//! judged by, also on another machine, is in [`forktrace_model::arch`]; what the kernel's programs
//! must know is in `forktrace-ebpf/src/arch`. To port forktrace, fill the three tables and build the
//! programs for that processor.

pub mod aarch64;
mod blocking;
mod host;
pub mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64 as native;
#[cfg(not(target_arch = "aarch64"))]
pub(crate) use x86_64 as native;

pub use blocking::Blocking;
pub use host::{HostMachine, Unsupported, check_host, machine, page_size};

/// What is known of one processor.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// What logs are judged by.
    pub facts: &'static forktrace_model::arch::Arch,
    /// System calls in which a thread waits for a futex.
    pub calls: FutexCalls,
    /// What the numbers of other system calls that block wait for.
    pub blocking: &'static [(Blocking, &'static [i64])],
    /// The thread descriptor of glibc.
    pub descriptor: Descriptor,
    /// Whether the kernel has the tracepoints `exceptions/page_fault_*`.
    pub has_fault_tracepoints: bool,
}

/// Numbers of system calls.
#[derive(Debug, PartialEq, Eq)]
pub struct FutexCalls {
    /// `futex`.
    pub futex: i64,
    /// `futex_waitv`.
    pub futex_waitv: i64,
    /// `futex_wait`.
    pub futex_wait: i64,
}

/// Where things are in `struct pthread` (`nptl/descr.h`), of which `pthread_t` is the address;
/// offsets in bytes. Words have eight.
#[derive(Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The thread's tid.
    pub tid: u64,
    /// By what one is recognised: words that are the address of a place in the descriptor itself. Each
    /// with the offset of that place.
    pub own_addresses: &'static [(u64, u64)],
}

impl Descriptor {
    /// Bytes to its last part of those that are read.
    pub const fn size(&self) -> usize {
        let mut end = self.tid + 4;
        let mut rest = self.own_addresses;
        while let [(offset, _), next @ ..] = rest {
            if *offset + 8 > end {
                end = *offset + 8;
            }
            rest = next;
        }
        end as usize
    }
}

impl Arch {
    /// What a system call waits for, if it is one that does.
    pub fn blocking(&self, number: i64) -> Option<Blocking> {
        let found = self.blocking.iter().find(|(_, numbers)| numbers.contains(&number));
        found.map(|(blocking, _)| *blocking)
    }
}

/// The first address that code of this processor puts into a register before it jumps to a program: of the
/// loader's, the function that ends a program.
pub(crate) use native::end_of_program;
/// The first address that code of this processor calls; `code`: its bytes, from `address` on.
pub(crate) use native::first_call;

/// The processor for which this program was built.
pub const HOST: &Arch = &native::ARCH;

#[cfg(test)]
mod tests;

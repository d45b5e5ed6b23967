//! What differs between processors and that a log must be judged by: a log may come from another
//! machine than the one that reads it.
//!
//! One table for each processor, in a file of its own; every fact with its source. What only a live
//! trace needs is in `forktrace_collect::arch`. Every word in a log is little-endian.

mod aarch64;
mod x86_64;

pub use aarch64::AARCH64;
pub use x86_64::X86_64;

use std::fmt;

/// What is known of one processor.
#[derive(Debug, PartialEq, Eq)]
pub struct Arch {
    /// Its name, as `uname -m` gives it.
    pub name: &'static str,
    /// Page sizes with which it is traced and its waits are judged, bytes. None: neither is done.
    pub page_sizes: &'static [u64],
    /// Address after the last that a process may have.
    pub address_limit: u64,
    /// File name of glibc's dynamic loader.
    pub glibc_loader: &'static str,
    /// Size of glibc's `pthread_mutex_t`, bytes.
    pub glibc_mutex_size: u64,
}

/// Every processor of which something is known.
pub static ARCHES: [&Arch; 2] = [&X86_64, &AARCH64];

/// A processor of which nothing is known.
static UNKNOWN: Arch = Arch {
    name: "an unknown processor",
    page_sizes: &[],
    address_limit: u64::MAX,
    glibc_loader: "ld-linux.so",
    glibc_mutex_size: 0,
};

/// The machine that a trace was made on, as far as its waits are judged by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its processor.
    pub arch: &'static Arch,
    /// Size of a page, bytes.
    pub page_size: u64,
}

impl Machine {
    /// The machine with a processor of this name (`uname -m`) and pages of this size, bytes.
    ///
    /// ```
    /// use forktrace_model::arch::Machine;
    ///
    /// assert!(Machine::new("x86_64", 4096).is_judged());
    /// assert!(!Machine::new("riscv64", 4096).is_judged());
    /// ```
    pub fn new(arch: &str, page_size: u64) -> Self {
        let known = ARCHES.into_iter().find(|known| known.name == arch);
        Machine { arch: known.unwrap_or(&UNKNOWN), page_size }
    }

    /// Whether processes are traced and waits are judged on such a machine. On any other the bytes
    /// around a futex word may mean something else.
    pub fn is_judged(self) -> bool {
        self.arch.page_sizes.contains(&self.page_size)
    }
}

impl Default for Machine {
    /// The machine of every log that does not name its own: those of forktrace 0.1.
    fn default() -> Self {
        Machine { arch: &X86_64, page_size: 4096 }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, pages of {} bytes", self.arch.name, self.page_size)
    }
}

#[cfg(test)]
mod tests;

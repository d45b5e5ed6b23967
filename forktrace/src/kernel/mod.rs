//! The live kernel: loading and attaching the eBPF programs, reading what they tell.
//!
//! The only home of aya, of `unsafe` and of everything that needs privilege.

#[expect(unsafe_code, reason = "bpf(2), for many entries at once")]
mod batch;
mod btf;
mod cleaner;
mod doctor;
mod error;
#[expect(unsafe_code, reason = "fork and exec")]
mod gate;
mod handles;
#[expect(unsafe_code, reason = "bytes that programs of the kernel write too")]
mod hints;
#[expect(unsafe_code, reason = "reads the auxiliary vector")]
mod installed;
#[expect(unsafe_code, reason = "calls pthread functions")]
mod libc_lock;
mod loader;
mod lock_probes;
mod maps;
#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "mallopt"))]
mod memory;
mod misses;
mod namespace;
mod privilege;
#[expect(unsafe_code, reason = "bpf(2), for an iterator over one task")]
mod registers;
#[expect(unsafe_code, reason = "registers the ring's descriptor with tokio")]
mod ring;
#[expect(unsafe_code, reason = "reads and restores signals' actions")]
mod signals;
mod tracefs;
#[expect(unsafe_code, reason = "scheduling of the thread")]
mod unpreempted;

pub use doctor::examine;
pub use error::Error;
pub use gate::{GatedChild, Outcome, RunningChild, Start};
pub use installed::check_installation;
pub use loader::{Kernel, Options};
pub use lock_probes::{LockProbes, price};
pub use maps::{Counters, Maps};
pub use memory::give_back as give_back_memory;
pub use namespace::check_pid_namespace;
pub use registers::Visitor;
pub use ring::{AsyncRing, Ring};
pub use signals::{ProcessGroup, restore_interrupt};
pub use tracefs::{Format, FormatError};

use nix::time::{ClockId, clock_gettime};

/// Loads and attaches the programs, and gives up the privilege that this took: in this thread and
/// those that are made from here on.
///
/// # Errors
/// Every failure is an [`Error`] whose message names the cause and the remedy.
pub fn load(options: &Options) -> Result<(Kernel, Ring), Error> {
    privilege::check_memory()?;
    loader::load(options)
}

/// `CLOCK_BOOTTIME` now, ns: the clock of every event.
pub fn boot_ns() -> u64 {
    nanoseconds(ClockId::CLOCK_BOOTTIME)
}

/// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`, ns: turns an event's time into wall clock time.
pub fn clock_offset_ns() -> i64 {
    let real = nanoseconds(ClockId::CLOCK_REALTIME);
    let boot = nanoseconds(ClockId::CLOCK_BOOTTIME);
    i64::try_from(i128::from(real) - i128::from(boot)).unwrap_or(0)
}

fn nanoseconds(clock: ClockId) -> u64 {
    // Neither clock can fail or be negative on Linux.
    clock_gettime(clock).map_or(0, |t| {
        (t.tv_sec() as u64).saturating_mul(1_000_000_000).saturating_add(t.tv_nsec() as u64)
    })
}

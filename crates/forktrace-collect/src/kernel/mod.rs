//! The live kernel: loading and attaching the eBPF programs, reading what they tell.
//!
//! The only home of aya, of `unsafe` and of everything that needs privilege.

#[cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "mallopt"))]
mod allocator;
#[expect(unsafe_code, reason = "bpf(2), for many entries at once")]
mod batch;
#[expect(unsafe_code, reason = "maps a file that never changes")]
mod btf;
mod cleaner;
pub(crate) mod error;
pub(crate) mod file_locks;
mod fork_records;
mod handles;
#[expect(unsafe_code, reason = "reads the auxiliary vector")]
mod installed;
#[expect(unsafe_code, reason = "calls pthread functions")]
mod libc_lock;
pub(crate) mod loader;
pub(crate) mod lock_probes;
#[expect(unsafe_code, reason = "bytes that programs of the kernel write too")]
mod mapped;
mod maps;
mod missed_runs;
pub(crate) mod namespace;
mod pid_bitmap;
mod places;
pub(crate) mod privilege;
#[expect(unsafe_code, reason = "scheduling of the thread")]
pub(crate) mod realtime;
#[expect(unsafe_code, reason = "bpf(2), for an iterator over one task")]
mod registers;
mod remains;
#[expect(unsafe_code, reason = "registers the ring's descriptor with tokio")]
mod ring;
#[expect(unsafe_code, reason = "semctl(2)")]
mod semaphore;
#[expect(unsafe_code, reason = "reads and restores signals' actions")]
mod signals;
pub(crate) mod sockets;
#[expect(unsafe_code, reason = "fork and exec")]
mod suspended_child;
pub(crate) mod tracefs;

pub use allocator::give_back as give_back_memory;
pub use error::Error;
pub use fork_records::{ChildRecords, ForkRecords};
pub use installed::check_installation;
pub use loader::{Kernel, Options};
pub use lock_probes::{LockProbes, price};
pub use maps::{Counters, Maps};
pub use namespace::check_pid_namespace;
pub use places::WrittenPage;
pub use registers::Visitor;
pub use remains::Remains;
pub use ring::{AsyncRing, Ring};
pub use signals::{ProcessGroup, restore_interrupt};
pub use suspended_child::{End, GatedChild, Outcome, RunningChild, Start};
pub use tracefs::{Format, FormatError};

/// What a stall asks of the kernel.
pub const ASKS: crate::inspect::stall::Asks = crate::inspect::stall::Asks {
    semaphore: semaphore::read_semaphore,
    network: namespace::in_network_of,
};

/// Loads and attaches the programs, and gives up the privilege that this took: in this thread and
/// those that are made from here on.
///
/// # Errors
/// Every failure is an [`Error`] whose message names the cause and the remedy.
pub fn load(options: &Options) -> Result<(Kernel, Ring), Error> {
    crate::arch::check_host()?;
    privilege::check_memory()?;
    loader::load(options)
}

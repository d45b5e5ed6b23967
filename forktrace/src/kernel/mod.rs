//! The live kernel: loading and attaching the eBPF programs, reading what they tell.
//!
//! The only home of aya, of `unsafe` and of everything that needs privilege.

#[expect(unsafe_code, reason = "bpf(2), for many entries at once")]
mod batch;
mod btf;
mod cleaner;
mod doctor;
#[expect(unsafe_code, reason = "fork and exec")]
mod gate;
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

use std::path::PathBuf;

use nix::time::{ClockId, clock_gettime};

/// Why tracing cannot begin. Each message is one sentence that names the cause and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too little privilege.
    #[error("forktrace needs {missing} {purpose}; run it as root (sudo forktrace …){otherwise}")]
    Privilege {
        /// The capabilities that are missing, by name.
        missing: String,
        /// What for.
        purpose: &'static str,
        /// What else could be done, after a comma.
        otherwise: &'static str,
    },
    /// Its file gives privilege to whoever runs it.
    #[error(
        "forktrace gives whoever runs it the memory of every process, and is therefore not to be \
         installed setuid, setgid or with capabilities; undo that (chmod ug-s {path}; setcap -r \
         {path}) and run it with sudo", path = path.display()
    )]
    Installed {
        /// The file of this program.
        path: PathBuf,
    },
    /// Pids here are not those that the kernel's programs see.
    #[error(
        "{found} (a pid namespace of its own), where the kernel's process ids mean nothing; run \
         forktrace on the host, or in a container that has the host's processes (docker run \
         --pid=host, or hostPID: true in a pod)"
    )]
    PidNamespace {
        /// What was found.
        found: &'static str,
    },
    /// Fewer files may be open than programs, maps and links need.
    #[error(
        "only {limit} files may be open at once, and forktrace needs {needed}: raise the limit with \
         ulimit -n {needed}"
    )]
    OpenFiles {
        /// The soft limit.
        limit: u64,
        /// What is needed.
        needed: u64,
    },
    /// Nobody may read the memory of other processes.
    #[error(
        "kernel.yama.ptrace_scope is 3, at which nobody may read the memory of other processes until \
         the next boot, so that no lock is recognised; set it to 2 or less in /etc/sysctl.d and boot \
         again"
    )]
    MemoryClosed,
    /// Something else of the host or of this process's place in it is in the way.
    #[error("{detail}; {remedy}")]
    Hindered {
        /// What it is.
        detail: String,
        /// What can be done about it.
        remedy: &'static str,
    },
    /// tracefs is not mounted and could not be.
    #[error(
        "tracefs is needed to find the kernel's tracepoints and is not mounted; \
         run: mount -t tracefs tracefs /sys/kernel/tracing ({cause})"
    )]
    Tracefs {
        /// What the attempt to mount it privately said.
        cause: String,
    },
    /// A tracepoint or one of its fields is missing.
    #[error(
        "{0}; this kernel cannot be traced, it needs CONFIG_FTRACE_SYSCALLS and Linux 5.8 or later"
    )]
    Tracepoint(#[from] FormatError),
    /// The kernel refused a program or a map.
    #[error("the kernel refused {what}: {cause}; {remedy}")]
    Refused {
        /// What was refused.
        what: String,
        /// The kernel's reason, in one line.
        cause: String,
        /// What can be done about it.
        remedy: &'static str,
    },
    /// The command to trace could not be started.
    #[error("cannot run {command}: {cause}")]
    Command {
        /// The command as given.
        command: String,
        /// Why.
        cause: String,
    },
}

/// Loads and attaches the programs, and gives up the privilege that this took: in this thread and
/// those that are made from here on.
///
/// # Errors
/// Every failure is an [`Error`] whose message names the cause and the remedy.
pub fn load(options: &Options) -> Result<(Kernel, Ring), Error> {
    privilege::check_memory()?;
    loader::load(options)
}

/// An error with all of its causes: aya's own words are only what was tried.
fn causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    words
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

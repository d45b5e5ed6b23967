//! What a living process can still tell, read without stopping it.
//!
//! Everything here is a look through `/proc`: nothing is attached, signalled or changed. A process may end at any moment, so "not there any more" is an answer like any
//! other ([`Error::Gone`]), and every look may be older than the next one.

mod access_probe;
mod ancestry;
pub mod buffered;
pub mod evidence;
pub mod file_lock;
mod fuse;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzed;
pub mod generator;
#[expect(unsafe_code, reason = "kcmp(2)")]
mod kcmp;
pub mod leaving;
pub mod memory;
pub mod module;
pub mod open_files;
mod pages;
pub mod preexisting_waits;
mod proc_text;
pub mod python;
pub mod sample;
pub mod scan;
pub mod signals;
pub mod stacks;
pub mod stall;
pub mod symbol;
pub mod threads;
mod timeout;
pub mod unobserved_fork;
pub mod whereabouts;

pub(crate) use access_probe::{Reach, reach};
pub(crate) use fuse::open_mapped;
pub(crate) use pages::{Sight, sight};

use std::io;

/// Why a process could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It has ended, or ended while it was read.
    #[error("process {pid} is not there any more")]
    Gone {
        /// The process.
        pid: u32,
    },
    /// The tracer may not read it.
    #[error("process {pid} may not be read: run as root, or with CAP_SYS_PTRACE")]
    Denied {
        /// The process.
        pid: u32,
    },
    /// Its memory has nothing at this address.
    #[error("process {pid} has no readable memory at {address:#x}")]
    NoMemory {
        /// The process.
        pid: u32,
        /// First address asked for.
        address: u64,
    },
    /// Anything else.
    #[error("cannot read {what} of process {pid}")]
    Io {
        /// The process.
        pid: u32,
        /// What was read.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// Result of a look at a process.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Sorts an error of the operating system while reading `what`.
    fn sort(pid: u32, what: &'static str, source: io::Error) -> Self {
        let gone = [Some(libc::ESRCH), Some(libc::ENOENT)].contains(&source.raw_os_error());
        match source.kind() {
            _ if gone => Error::Gone { pid },
            io::ErrorKind::NotFound => Error::Gone { pid },
            io::ErrorKind::PermissionDenied => Error::Denied { pid },
            _ => Error::Io { pid, what, source },
        }
    }
}

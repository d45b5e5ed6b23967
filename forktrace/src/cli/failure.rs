//! What can go wrong, and with which exit status.

use std::{io, path::PathBuf};

use crate::kernel;

/// Exit status of a wrong command line.
pub(super) const USAGE: u8 = 2;

/// Why the command failed; one sentence each, with the remedy where there is one.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("no process {pid}: {cause}; see which are running with: ps -e")]
    NoProcess { pid: u32, cause: String },
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    #[error("cannot write {path}: {cause}", path = path.display())]
    CannotWrite { path: PathBuf, cause: String },
    #[error("cannot read {path}: {cause}", path = path.display())]
    CannotRead { path: PathBuf, cause: String },
    #[error("{0}")]
    Demo(String),
    #[error("cannot write the output: {0}")]
    Output(io::Error),
}

impl Failure {
    /// 1 failure, 2 usage, 3 privilege or kernel, 4 no such target.
    pub(super) fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => USAGE,
            Failure::Kernel(kernel::Error::Command { .. }) | Failure::NoProcess { .. } => 4,
            Failure::Kernel(_) => 3,
            Failure::CannotWrite { .. }
            | Failure::CannotRead { .. }
            | Failure::Demo(_)
            | Failure::Output(_) => 1,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

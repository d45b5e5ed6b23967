//! The errors of the command, their exit statuses and their messages.

use std::{io, path::PathBuf};

use forktrace_collect::{engine::AdoptError, kernel};

use crate::report::sanitize;

/// Exit status of a wrong command line.
pub(super) const USAGE: u8 = 2;

/// Why the command failed. A message is one sentence: the cause, then the remedy.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("cannot trace process {pid}: {cause}; list the processes with: ps -e")]
    NoProcess { pid: u32, cause: &'static str },
    #[error(transparent)]
    Kernel(#[from] kernel::Error),
    #[error("cannot write {path}: {cause}", path = path.display())]
    CannotWrite { path: PathBuf, cause: String },
    #[cfg(feature = "serve")]
    #[error("cannot listen on {address}: {cause}; choose another address with --listen")]
    CannotListen { address: String, cause: String },
    #[error("cannot read {path}: {cause}", path = path.display())]
    CannotRead { path: PathBuf, cause: String },
    #[error("{0}")]
    Demo(String),
    #[error("cannot write the output: {}", cause(.0))]
    Output(io::Error),
}

impl Failure {
    /// The exit status. 1: failure, 2: usage, 3: privilege or kernel, 4: no such target. It is 0 if
    /// the reader closed the output.
    pub(super) fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) => USAGE,
            Failure::Kernel(kernel::Error::Command { .. }) | Failure::NoProcess { .. } => 4,
            Failure::Kernel(_) => 3,
            Failure::Output(_) if self.is_quiet() => 0,
            #[cfg(feature = "serve")]
            Failure::CannotListen { .. } => 1,
            Failure::CannotWrite { .. }
            | Failure::CannotRead { .. }
            | Failure::Demo(_)
            | Failure::Output(_) => 1,
        }
    }

    /// Whether no message is needed: the reader closed the output, as `head` does.
    pub(super) fn is_quiet(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<AdoptError> for Failure {
    fn from(error: AdoptError) -> Self {
        match error {
            AdoptError::Kernel(error) => Failure::Kernel(error),
            AdoptError::Output(error) => Failure::Output(error),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

/// Prints a message to stderr, on one line. Control characters in it are escaped: names may come
/// from traced programs.
pub(super) fn say(message: &str) {
    eprintln!("forktrace: {}", sanitize(message));
}

/// An error of the operating system in words, with a remedy if there is one.
pub(super) fn cause(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EISDIR) => "it is a directory; name a file".into(),
        Some(libc::ENOENT) => "no such file or directory".into(),
        Some(libc::EACCES) => "permission denied; use sudo, or change the owner with chown".into(),
        Some(libc::ENOSPC) => "no space left on the device".into(),
        Some(libc::EMFILE | libc::ENFILE) => "too many open files; raise ulimit -n".into(),
        _ => {
            // The number adds nothing to the words.
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or(&text).to_owned()
        }
    }
}

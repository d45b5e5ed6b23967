//! Why tracing cannot begin, in words.

use crate::arch::Unsupported;
use std::path::PathBuf;

use super::FormatError;

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

/// An error with all of its causes: aya's own words are only what was tried.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
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

/// Says why the kernel refused something, with the innermost cause and without the verifier's log,
/// which goes to the debug log.
pub(crate) fn refused(what: &str, error: &dyn std::fmt::Display) -> Error {
    let text = error.to_string();
    tracing::debug!("{what}: {text}");
    let cause = text.lines().next().unwrap_or_default().to_owned();
    Error::Refused {
        what: what.to_owned(),
        cause,
        remedy: "it needs Linux 5.8 or later, CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS, and no \
                 lockdown (see: dmesg; forktrace -vv says more)",
    }
}

impl From<Unsupported> for Error {
    fn from(Unsupported { detail, remedy }: Unsupported) -> Self {
        Error::Hindered { detail, remedy }
    }
}

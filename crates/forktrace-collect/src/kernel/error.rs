//! The errors of the tracer, and their messages.

use crate::arch::Unsupported;
use std::path::PathBuf;

use super::FormatError;

/// Why tracing cannot begin. Each message is one sentence: the cause, then the remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Missing capabilities.
    #[error("{missing} missing: needed {purpose}; run forktrace as root, with sudo{otherwise}")]
    Privilege {
        /// Names of the missing capabilities.
        missing: String,
        /// What they are needed for.
        purpose: &'static str,
        /// Another remedy, with a comma before it. May be empty.
        otherwise: &'static str,
    },
    /// The file of forktrace gives privilege to every user who runs it.
    #[error(
        "forktrace must not be setuid, setgid or have file capabilities: every user could then read the \
         memory of all processes; remove them (chmod ug-s {path}; setcap -r {path}) and use sudo",
        path = path.display()
    )]
    Installed {
        /// The file of this program.
        path: PathBuf,
    },
    /// forktrace runs in another pid namespace than its eBPF programs.
    #[error(
        "{found}: the process ids of the kernel are not valid here; run forktrace on the host, or in a \
         container that shares the pid namespace of the host (docker run --pid=host; in a pod hostPID: \
         true)"
    )]
    PidNamespace {
        /// What was found.
        found: &'static str,
    },
    /// The limit of open files is too low for the programs, maps and links.
    #[error(
        "the limit of open files is {limit}, but forktrace needs {needed}; raise the limit: ulimit -n \
         {needed}"
    )]
    OpenFiles {
        /// The soft limit.
        limit: u64,
        /// The limit that forktrace needs.
        needed: u64,
    },
    /// No process may read the memory of another.
    #[error(
        "kernel.yama.ptrace_scope is 3: no process may read the memory of another, so forktrace cannot \
         recognise locks; set it to 2 or less in /etc/sysctl.d, then reboot"
    )]
    MemoryClosed,
    /// Another property of the host prevents tracing.
    #[error("{detail}; {remedy}")]
    Hindered {
        /// The cause.
        detail: String,
        /// What to do.
        remedy: &'static str,
    },
    /// tracefs is not mounted and could not be.
    #[error(
        "tracefs is not mounted, and forktrace cannot mount it ({cause}); run: sudo mount -t tracefs \
         tracefs /sys/kernel/tracing"
    )]
    Tracefs {
        /// Why forktrace could not mount it in its own mount namespace.
        cause: String,
    },
    /// A tracepoint that every mode needs, or one of its fields, is missing.
    #[error(
        "{0}, so this kernel cannot be traced; use Linux 5.8 or later with CONFIG_EVENT_TRACING"
    )]
    Tracepoint(FormatError),
    /// A tracepoint that `--exact` needs, or one of its fields, is missing.
    #[error(
        "{0}, so --exact does not work on this kernel; leave out --exact, or use a kernel with \
         CONFIG_FTRACE_SYSCALLS"
    )]
    ExactTracepoint(FormatError),
    /// The kernel refused a program or a map.
    #[error("the kernel refused {what}: {cause}; {remedy}")]
    Refused {
        /// What was refused.
        what: String,
        /// The kernel's reason, in one line.
        cause: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The command to trace could not be started.
    #[error("cannot run {command}: {cause}")]
    Command {
        /// The command as given.
        command: String,
        /// Why it could not be started.
        cause: String,
    },
}

/// An error with all its causes. The message of aya alone names only the operation that failed.
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

/// An error for something that the kernel refused. It has the first line of the cause, and the verifier's last
/// one, which says what is wrong; the debug log has the rest.
pub(crate) fn refused(what: &str, error: &dyn std::fmt::Display) -> Error {
    let text = error.to_string();
    tracing::debug!("{what}: {text}");
    let first = text.lines().next().unwrap_or_default();
    let counts = |line: &&str| {
        let counted = ["processed ", "stack depth ", "verification time "];
        line.trim().is_empty() || counted.iter().any(|count| line.starts_with(count))
    };
    let verified = first.contains("Verifier output");
    let last = text.lines().skip(1).filter(|line| verified && !counts(line)).last();
    let cause = last.map_or_else(|| first.to_owned(), |last| format!("{first} … {last}"));
    Error::Refused {
        what: what.to_owned(),
        cause,
        remedy: "use Linux 5.8 or later with CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS, and without \
                 lockdown (for details: dmesg, forktrace -vv)",
    }
}

impl From<Unsupported> for Error {
    fn from(Unsupported { detail, remedy }: Unsupported) -> Self {
        Error::Hindered { detail, remedy }
    }
}

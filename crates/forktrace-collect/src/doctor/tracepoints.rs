//! Checks of tracefs and of each tracepoint. Pure.

use std::path::PathBuf;

use super::facts::{ABOVE, AS_ROOT};
use crate::{
    arch::HOST,
    doctor::Check,
    kernel::{
        Error, FormatError,
        file_locks::FILE_LOCKS,
        loader::{FAULTS, FORKS, FUTEX, REQUIRED},
        sockets::SOCKETS,
        tracefs::Survey,
    },
};

const NEWER_FUTEX: &str = "newer-futex-calls";
const PAGE_FAULTS: &str = "page-faults";
const CLONE: &str = "fork-calls";
const SOCKETS_CHECK: &str = "socket-uses";
const LOCKS_CHECK: &str = "file-locks";

/// The content of tracefs.
pub(super) struct Layouts {
    /// Where it is mounted.
    pub(super) place: PathBuf,
    /// The fields of the tracepoints.
    pub(super) survey: Survey,
    /// The optional tracepoints that exist.
    pub(super) present: Vec<&'static str>,
    /// Whether it is known where the kernel's structures of sockets have their fields.
    pub(super) socket_fields: bool,
    /// The same of locks on files.
    pub(super) lock_fields: bool,
}

/// `mounts`: `/proc/self/mounts`, whose third column is the type.
pub(super) fn tracefs(found: &Result<Layouts, Error>, mounts: &str) -> Check {
    let name = "tracefs";
    let is_tracefs = |line: &&str| line.split(' ').nth(2) == Some("tracefs");
    let mounted = mounts.lines().find(is_tracefs).and_then(|line| line.split(' ').nth(1));
    let closed = |cause: &str| match mounted {
        Some(place) => {
            Check::missing(name, format!("mounted at {place}, but not readable"), AS_ROOT)
        }
        None => Check::missing(
            name,
            format!("not mounted, and forktrace cannot mount it ({cause})"),
            "run forktrace as root, with sudo; or mount it: sudo mount -t tracefs tracefs \
             /sys/kernel/tracing",
        ),
    };
    match found {
        Ok(layouts) if mounted.is_some() => {
            Check::ok(name, format!("at {}", layouts.place.display()))
        }
        Ok(_) => Check::ok(name, "not mounted; forktrace mounts it in its own mount namespace"),
        Err(Error::Tracefs { cause }) => closed(cause),
        Err(error) => closed(&error.to_string()),
    }
}

/// One check for each tracepoint that every mode needs or `--exact` alone, and one for each group of
/// optional ones. `None`: tracefs cannot be read.
pub(super) fn tracepoints(layouts: Option<&Layouts>) -> Vec<Check> {
    let needed = REQUIRED.iter().map(|(_, event)| *event);
    let of_exact = FUTEX.iter().map(|(_, event)| *event);
    let Some(layouts) = layouts else {
        let unread = |name| Check::missing(name, "unknown: needs tracefs", ABOVE);
        let mut checks: Vec<Check> = needed.map(short).map(unread).collect();
        let groups = [NEWER_FUTEX, PAGE_FAULTS, CLONE, SOCKETS_CHECK, LOCKS_CHECK];
        for group in of_exact.map(short).chain(groups) {
            checks.push(Check::limited(group, "unknown: needs tracefs", ABOVE));
        }
        return checks;
    };
    let mut checks: Vec<Check> = needed.map(|event| required(&layouts.survey, event)).collect();
    checks.extend(of_exact.map(|event| for_exact(&layouts.survey, event)));
    checks.push(newer_futex(layouts));
    checks.push(page_faults(layouts));
    checks.push(clone(layouts));
    checks.push(sockets(layouts));
    checks.push(file_locks(layouts));
    checks
}

fn short(event: &'static str) -> &'static str {
    event.rsplit('/').next().unwrap_or(event)
}

/// What of a tracepoint is missing, in words; empty if nothing is.
fn lacking(missing: &[FormatError], of: impl Fn(&str) -> bool) -> String {
    let missing = missing.iter().filter(|error| of(error.event()));
    let words: Vec<String> = missing.map(ToString::to_string).collect();
    words.join("; ")
}

/// A tracepoint without which nothing can be traced.
fn required(survey: &Survey, event: &'static str) -> Check {
    let missing = lacking(&survey.missing, |other| other == event);
    if !missing.is_empty() {
        let remedy = "use Linux 5.8 or later with CONFIG_EVENT_TRACING";
        return Check::missing(short(event), missing, remedy);
    }
    present(survey, event)
}

/// A tracepoint that `--exact` alone needs.
fn for_exact(survey: &Survey, event: &'static str) -> Check {
    let missing = lacking(&survey.missing_of_exact, |other| other == event);
    if !missing.is_empty() {
        return without_exact(short(event), &missing);
    }
    present(survey, event)
}

fn without_exact(name: &'static str, missing: &str) -> Check {
    Check::limited(
        name,
        format!("{missing}: --exact does not work; the default finds waits by looking at threads"),
        "leave out --exact, or use a released kernel with CONFIG_FTRACE_SYSCALLS",
    )
}

fn present(survey: &Survey, event: &'static str) -> Check {
    let name = short(event);
    match fields(survey, event) {
        fields if !fields.is_empty() => Check::ok(name, fields),
        _ if event == "sched/sched_process_exit" => {
            Check::ok(name, "no group_dead (needs Linux 6.16): forktrace looks in /proc instead")
        }
        _ => Check::ok(name, "present"),
    }
}

/// The offsets of the fields, such as `pid at 28, clone_flags at 32`.
fn fields(survey: &Survey, event: &str) -> String {
    let mut fields: Vec<(u32, &str)> = survey
        .named
        .iter()
        .filter_map(|(name, offset)| Some((*offset, name.strip_prefix(event)?.strip_prefix('.')?)))
        .collect();
    fields.sort_unstable();
    let words: Vec<String> =
        fields.into_iter().map(|(offset, field)| format!("{field} at {offset}")).collect();
    words.join(", ")
}

fn newer_futex(layouts: &Layouts) -> Check {
    let missing =
        lacking(&layouts.survey.missing_of_exact, |event| event.contains("sys_enter_futex_"));
    if !missing.is_empty() {
        return without_exact(NEWER_FUTEX, &missing);
    }
    let calls = |event: &&str| event.contains("sys_enter_futex_");
    let names: Vec<&str> = layouts
        .present
        .iter()
        .copied()
        .filter(calls)
        .filter_map(|event| event.rsplit("sys_enter_").next())
        .collect();
    // If futex(2) has a tracepoint, every existing system call has one.
    match names.is_empty() {
        true => Check::ok(NEWER_FUTEX, "not in this kernel, so no process uses them"),
        false => Check::ok(NEWER_FUTEX, names.join(", ")),
    }
}

fn page_faults(layouts: &Layouts) -> Check {
    match FAULTS.iter().all(|(_, event)| layouts.present.contains(event)) {
        true => Check::ok(PAGE_FAULTS, fields(&layouts.survey, "exceptions/page_fault_user")),
        false => Check::limited(
            PAGE_FAULTS,
            "no tracepoints exceptions/page_fault_*: forktrace uses the page fault counter instead, \
             which costs more; before Linux 6.1 it saves no pages, and few hangs are certain",
            if HOST.has_fault_tracepoints {
                "use a kernel that has them"
            } else {
                "use Linux 6.1 or later"
            },
        ),
    }
}

fn clone(layouts: &Layouts) -> Check {
    let forks = FORKS.iter().filter(|(_, event)| layouts.present.contains(event));
    let names: Vec<&str> =
        forks.filter_map(|(_, event)| event.rsplit("sys_enter_").next()).collect();
    match names.is_empty() {
        true => Check::limited(
            CLONE,
            "no tracepoint for clone: --locks cannot show who held a lock at a fork",
            "use a kernel with CONFIG_FTRACE_SYSCALLS",
        ),
        false => Check::ok(CLONE, format!("{} (for --locks)", names.join(", "))),
    }
}

fn sockets(layouts: &Layouts) -> Check {
    let has_all = SOCKETS.iter().all(|(_, event)| layouts.present.contains(event));
    match (has_all, layouts.socket_fields) {
        (true, true) => Check::ok(SOCKETS_CHECK, "present"),
        (false, _) => Check::limited(
            SOCKETS_CHECK,
            "no tracepoints sock/sock_send_length and sock_recv_length: forktrace does not see who uses \
             a connection",
            "use Linux 6.3 or later",
        ),
        (true, false) => Check::limited(
            SOCKETS_CHECK,
            "the kernel does not describe its structures (BTF): forktrace does not see who uses a \
             connection",
            "use a kernel with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

fn file_locks(layouts: &Layouts) -> Check {
    let has_all = FILE_LOCKS.iter().all(|(_, event)| layouts.present.contains(event));
    match (has_all, layouts.lock_fields) {
        (true, true) => Check::ok(LOCKS_CHECK, "present"),
        (false, _) => Check::limited(
            LOCKS_CHECK,
            "no tracepoints filelock/flock_lock_inode and posix_lock_inode: forktrace does not see who \
             loses a lock on a file",
            "use a kernel that has them",
        ),
        (true, false) => Check::limited(
            LOCKS_CHECK,
            "the kernel does not describe its structures (BTF): forktrace does not see who loses a lock on \
             a file",
            "use a kernel with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

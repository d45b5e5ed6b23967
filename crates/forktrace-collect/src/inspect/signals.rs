//! Signals that a process has blocked, and those that are there for it.

use std::fs;

use forktrace_common::signals;

use super::{proc_text, scan, threads};
use forktrace_model::event::Doing;

/// Most threads and descriptors of one process that are looked at.
const MOST: usize = 512;

/// The signals of a process, each set with a bit for each signal from 1 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// Blocked in each thread.
    pub blocked: u64,
    /// There, for the process or for its first thread.
    pub pending: u64,
    /// Of these, those that somebody takes, by waiting for signals or by a signalfd.
    pub served: u64,
    /// With a handler.
    pub handled: u64,
}

/// Those of a process now; `None`: it has ended, is stopped, or cannot be read.
pub fn look(pid: u32) -> Option<Signals> {
    let text = proc_text::small(pid, &format!("{pid}/status")).ok()?;
    let first = Status::parse(&text)?;
    let mut found = Signals {
        blocked: first.blocked,
        pending: (first.pending | first.own_pending) & first.blocked & !first.ignored,
        served: 0,
        handled: first.handled,
    };
    if found.pending == 0 {
        return Some(found);
    }
    for tid in threads::all(pid).ok()?.into_iter().take(MOST) {
        if tid != pid {
            let text = proc_text::small(pid, &format!("{pid}/task/{tid}/status")).ok()?;
            found.blocked &= Status::parse(&text)?.blocked;
        }
        if waits_for_signals(pid, tid) {
            found.served = u64::MAX;
        }
    }
    found.served |= of_signalfds(pid);
    found.pending &= found.blocked;
    Some(found)
}

/// Whether a thread is in sigwait(3) or one of its like.
fn waits_for_signals(pid: u32, tid: u32) -> bool {
    let Doing::Syscall(number) = threads::doing(pid, tid) else { return false };
    u64::try_from(libc::SYS_rt_sigtimedwait) == Ok(number)
}

/// The children of these that have ended and are still there.
pub fn zombies(parent: u32, children: &[u32]) -> Vec<u32> {
    let is_one = |pid: &&u32| {
        scan::parent(**pid) == Some(parent) && scan::stat(**pid).is_ok_and(|stat| stat.state == 'Z')
    };
    children.iter().filter(is_one).copied().collect()
}

/// What is needed of a `status` (`task_sig`, `fs/proc/array.c`, Linux 6.18).
struct Status {
    blocked: u64,
    pending: u64,
    own_pending: u64,
    ignored: u64,
    handled: u64,
}

impl Status {
    /// `None`: it is stopped, or something is missing.
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            // The name comes first, with its newlines escaped, so it cannot pretend to be a field.
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"))
        };
        let set = |name| u64::from_str_radix(field(name)?, 16).ok();
        if field("State")?.starts_with(['T', 't', 'Z', 'X']) {
            return None;
        }
        Some(Status {
            blocked: set("SigBlk")?,
            pending: set("ShdPnd")?,
            own_pending: set("SigPnd")?,
            ignored: set("SigIgn")?,
            handled: set("SigCgt")?,
        })
    }
}

/// A `status`; for fuzz targets.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn parse(text: &str) {
    let _ = Status::parse(text);
}

/// The signals that signalfds of a process take (`signalfd_show_fdinfo`, `fs/signalfd.c`, Linux 6.18).
fn of_signalfds(pid: u32) -> u64 {
    let fds = proc_text::numbers(pid, &format!("{pid}/fd")).unwrap_or_default();
    let mask = |fd: u32| {
        let link = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
        (link.to_str()? == "anon_inode:[signalfd]").then_some(())?;
        let text = proc_text::small(pid, &format!("{pid}/fdinfo/{fd}")).ok()?;
        let mask = text.lines().find_map(|line| line.strip_prefix("sigmask:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    };
    fds.into_iter().take(MOST).filter_map(mask).fold(0, |all, mask| all | mask)
}

/// The numbers of the signals in a set that end services, or tell them of their children.
pub fn of_interest(set: u64) -> impl Iterator<Item = i32> {
    signals::ENDING.into_iter().filter(move |signal| set & signals::bit(*signal) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_and_stopped_processes_are_not() {
        let text = "Name:\tx\nState:\tS (sleeping)\nSigPnd:\t0000000000000000\n\
                    ShdPnd:\t0000000000004000\nSigBlk:\t0000000000004002\nSigIgn:\t0000000000001000\n\
                    SigCgt:\t0000000180000002\n";
        let status = Status::parse(text);
        assert_eq!(status.map(|status| (status.pending, status.blocked)), Some((0x4000, 0x4002)));
        assert!(Status::parse(&text.replace("S (sleeping)", "T (stopped)")).is_none());
        assert_eq!(of_interest(0x4002).collect::<Vec<_>>(), [signals::INT, signals::TERM]);
        assert!(look(std::process::id()).is_some());
    }
}

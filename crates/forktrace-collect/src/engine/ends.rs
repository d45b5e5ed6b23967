//! Forked children that have ended by themselves a moment ago, whose memory is still being read.
//!
//! The events of such a child, its fork and its end, are held back until they are in their order. What is left of
//! it is read before, so that who forked it is kept here.
//!
//! The next children need the places of its pages, and all later events wait for its end. So few are read together,
//! and how much is has a limit ([`Share`]). The others are not waited for.

use std::collections::{BTreeMap, BTreeSet};

use forktrace_common::{clone_flags, record::Leftover};
use forktrace_model::event::{Body, Ended, Event, ProcessExit, Task};
use rustc_hash::FxHashMap;

/// Most ends that are held back, and forks that are remembered.
const MOST_ENDING: usize = 16;
const MOST_FORKS: usize = 1 << 16;

/// Most pages that may be read at once, and how many more in each second that goes by. One takes some 80 µs, so
/// that in the long run this takes less than a hundredth of a CPU.
const MOST_AT_ONCE: i64 = 8192;
const A_SECOND: u64 = 100;

/// How many pages may still be read.
#[derive(Debug)]
struct Share {
    /// Less than 0: more were read than that, as all pages of one child are.
    left: i64,
    /// As of this time, `CLOCK_BOOTTIME`, ns.
    at_ns: u64,
}

impl Default for Share {
    fn default() -> Self {
        Share { left: MOST_AT_ONCE, at_ns: 0 }
    }
}

impl Share {
    /// Whether a child may be read now.
    fn allows(&mut self, now_ns: u64) -> bool {
        let more = now_ns.saturating_sub(self.at_ns) / (1_000_000_000 / A_SECOND);
        if more > 0 {
            let more = i64::try_from(more).unwrap_or(i64::MAX);
            (self.left, self.at_ns) = (MOST_AT_ONCE.min(self.left.saturating_add(more)), now_ns);
        }
        self.left > 0
    }

    /// The pages of one are read.
    fn spend(&mut self, pages: u32) {
        self.left = self.left.saturating_sub(pages.into());
    }
}

/// A child that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// When, `CLOCK_BOOTTIME`, ns.
    pub(super) boot_ns: u64,
    /// The child.
    pub(super) pid: u32,
    pub(super) comm: String,
    /// `CLOCK_BOOTTIME` of its fork, ns.
    pub(super) fork_ns: u64,
    /// The process that forked it, and its name then.
    pub(super) by: (u32, String),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// By the child's pid: when it was forked, by whom.
    forks: FxHashMap<u32, (u64, u32, String)>,
    ending: BTreeMap<(u32, u64), End>,
    /// When those ended, and their keys: the first is asked for with each event.
    times: BTreeSet<(u64, (u32, u64))>,
    share: Share,
}

impl Ends {
    /// Remembers a fork.
    pub(super) fn forked(&mut self, event: &Event) {
        let (Body::ProcessFork(fork), Some(task)) = (&event.body, &event.task) else { return };
        if clone_flags::copies_memory(fork.clone_flags) {
            // Ends that were lost leave theirs here.
            if self.forks.len() >= MOST_FORKS {
                self.forks.clear();
            }
            self.forks.insert(fork.child_pid, (event.boot_ns, task.pid, task.comm.clone()));
        }
    }

    /// A process has ended that had left nothing.
    pub(super) fn gone(&mut self, event: &Event) {
        if let (Body::ProcessExit(_), Some(task)) = (&event.body, &event.task) {
            self.forks.remove(&task.pid);
        }
    }

    /// A child has gone, or goes on with another program. Whether what it left is to be read: who is ended by a
    /// signal, or execs, writes no buffers.
    pub(super) fn left(&mut self, event: &Event, task: &Task, leftover: Leftover) -> bool {
        let fork = self.forks.remove(&task.pid).filter(|(at, ..)| *at == leftover.fork_ns);
        let by_itself =
            matches!(&event.body, Body::ProcessExit(ProcessExit { ended: Some(Ended::Code(_)) }));
        let Some((fork_ns, by, by_comm)) = fork.filter(|_| by_itself && leftover.pages > 0) else {
            return false;
        };
        let is_read = self.ending.len() < MOST_ENDING && self.share.allows(event.boot_ns);
        if is_read {
            self.share.spend(leftover.pages);
            let (pid, comm) = (task.pid, task.comm.clone());
            let end = End { boot_ns: event.boot_ns, pid, comm, fork_ns, by: (by, by_comm) };
            self.times.insert((end.boot_ns, (pid, fork_ns)));
            self.ending.insert((pid, fork_ns), end);
        }
        is_read
    }

    /// A child that is being read.
    pub(super) fn get(&self, pid: u32, fork_ns: u64) -> Option<&End> {
        self.ending.get(&(pid, fork_ns))
    }

    /// What a child left has been read.
    pub(super) fn was_read(&mut self, pid: u32, fork_ns: u64) -> Option<End> {
        let end = self.ending.remove(&(pid, fork_ns))?;
        self.times.remove(&(end.boot_ns, (pid, fork_ns)));
        Some(end)
    }

    /// Waits no longer for those that ended before `time_ns`, `CLOCK_BOOTTIME`, ns.
    pub(super) fn give_up(&mut self, time_ns: u64) {
        while let Some((ended, child)) = self.times.first().copied()
            && ended < time_ns
        {
            self.times.remove(&(ended, child));
            self.ending.remove(&child);
        }
    }

    /// Whether what children left is still being read.
    pub(super) fn is_reading(&self) -> bool {
        !self.ending.is_empty()
    }

    /// When the first of them ended, `CLOCK_BOOTTIME`, ns.
    pub(super) fn first_ns(&self) -> Option<u64> {
        self.times.first().map(|(ended, _)| *ended)
    }
}

#[cfg(test)]
mod tests {
    use forktrace_model::event::ProcessFork;

    use super::*;

    fn task(pid: u32) -> Task {
        Task { pid, tid: pid, comm: "worker".into() }
    }

    fn left(how: Ended, fork_ns: u64) -> (Ends, bool) {
        let mut ends = Ends::default();
        let fork = Body::ProcessFork(ProcessFork { child_pid: 7, clone_flags: 17 });
        ends.forked(&Event { boot_ns: 100, task: Some(task(5)), body: fork });
        let body = Body::ProcessExit(ProcessExit { ended: Some(how) });
        let event = Event { boot_ns: 200, task: Some(task(7)), body };
        let is_read =
            ends.left(&event, &task(7), Leftover { fork_ns, pages: 3, ..Leftover::default() });
        (ends, is_read)
    }

    #[test]
    fn a_child_that_ends_by_itself_is_read_once() {
        let (mut ends, is_read) = left(Ended::Code(0), 100);
        assert!(is_read && ends.is_reading());
        assert_eq!(ends.first_ns(), Some(200));
        let end = ends.was_read(7, 100);
        assert_eq!(end.map(|end| end.by), Some((5, "worker".into())));
        assert!(!ends.is_reading() && ends.was_read(7, 100).is_none());
    }

    #[test]
    fn nobody_is_waited_for_without_end() {
        let (mut ends, _) = left(Ended::Code(0), 100);
        ends.give_up(200);
        assert_eq!(ends.first_ns(), Some(200));
        ends.give_up(201);
        assert!(ends.first_ns().is_none() && !ends.is_reading() && ends.get(7, 100).is_none());
    }

    #[test]
    fn not_more_is_read_than_there_is_time_for() {
        let (mut share, ms) = (Share::default(), 1_000_000);
        assert!(share.allows(ms));
        share.spend(MOST_AT_ONCE as u32 + 5);
        assert!(!share.allows(51 * ms), "what was too much is made up for");
        assert!(share.allows(61 * ms));
        share.spend(1);
        assert!(!share.allows(61 * ms));
    }

    #[test]
    fn one_that_is_killed_or_of_another_fork_is_not() {
        assert!(!left(Ended::Signal(9), 100).1);
        assert!(!left(Ended::Code(0), 99).1);
    }
}

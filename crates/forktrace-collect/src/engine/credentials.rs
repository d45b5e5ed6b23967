//! To whom processes belong. A child begins as its parent is, and no event says when it becomes
//! another user or is moved to another cgroup; servers do either soon after the fork or before an
//! exec. So `/proc` is read once after each of these, if the process still lives then, and for
//! processes that were alive before, also to know programs whose system calls are not seen.

use std::collections::{BTreeSet, VecDeque};

use forktrace_model::{
    event::{Body, Event, ProcessOwner, Task},
    model::Model,
};

use crate::inspect::scan;

/// How long after a fork a child is read, ns: who lives shorter is not worth it.
const AFTER_FORK_NS: u64 = 500_000_000;
/// How many processes may be waiting to be read; others are not.
const MOST: usize = 1 << 14;

/// What is to be read, and when.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// When, `CLOCK_BOOTTIME`, ns, and which process.
    forked: VecDeque<(u64, u32)>,
    execed: Vec<u32>,
    /// Processes that ran a 32-bit program.
    narrow: BTreeSet<u32>,
}

impl Credentials {
    /// Takes an event after which a process is to be read.
    pub(super) fn consider(&mut self, event: &Event) {
        if self.forked.len() + self.execed.len() >= MOST {
            return;
        }
        match (&event.body, &event.task) {
            (Body::ProcessFork(fork), _) => {
                let due = event.boot_ns.saturating_add(AFTER_FORK_NS);
                self.forked.push_back((due, fork.child_pid));
            }
            (Body::ProcessExec(_) | Body::ProcessSnapshot(_), Some(task)) => {
                self.execed.push(task.pid);
            }
            _ => {}
        }
    }

    /// What has changed of the processes that are due at `now`.
    pub(super) fn changed(&mut self, now: u64, model: &Model) -> Vec<Event> {
        let mut due = std::mem::take(&mut self.execed);
        while let Some((_, pid)) = self.forked.pop_front_if(|(when, _)| *when <= now) {
            due.push(pid);
        }
        due.retain(|pid| model.live(*pid).is_some());
        if self.narrow.len() < MOST {
            self.narrow.extend(due.iter().filter(|pid| scan::runs_32_bit_program(**pid)));
        }
        due.into_iter().filter_map(|pid| changed(pid, now, model)).collect()
    }

    /// When the next process is to be read, `CLOCK_BOOTTIME`, ns.
    pub(super) fn due_ns(&self) -> Option<u64> {
        let execed = (!self.execed.is_empty()).then_some(0);
        execed.or_else(|| self.forked.front().map(|(when, _)| *when))
    }

    /// How many processes were seen to run a 32-bit program.
    pub(super) fn of_32_bits(&self) -> u64 {
        self.narrow.len() as u64
    }
}

fn changed(pid: u32, now: u64, model: &Model) -> Option<Event> {
    let process = model.live(pid)?;
    let ProcessOwner { uid, cgroup } = scan::owner(pid);
    let same = (uid.is_none() || uid == process.uid)
        && (cgroup.is_none() || cgroup.as_deref() == process.cgroup.as_deref());
    let task = Task { pid, tid: pid, comm: process.comm.clone() };
    let body = Body::ProcessOwner(ProcessOwner { uid, cgroup });
    (!same).then_some(Event { boot_ns: now, task: Some(task), body })
}

//! Signals that children have blocked since their fork: is one of them there, look after look?
//!
//! Most processes fork with no signal of interest blocked, and are never looked at. The others are at once
//! after their fork (the C library may block all signals within fork), and those whose mask is still so each
//! second, for as long as it is.

use forktrace_common::signals;
use forktrace_model::{
    event::{BlockedSignals, Body, Event, PendingSignal, Task},
    model::{Model, ProcId},
};
use rustc_hash::FxHashMap;

use super::Subject;
use crate::{
    inspect::signals::{Signals, of_interest},
    kernel::ForkRecords,
};

/// When a child is first looked at after its fork, and then again, ns.
const FIRST_NS: u64 = 50_000_000;
const AGAIN_NS: u64 = 1_100_000_000;
/// The same of one for which no signal is there, once it is older than [`YOUNG_NS`].
const REST_NS: u64 = 5_000_000_000;
const YOUNG_NS: u64 = 30_000_000_000;
/// How long a signal is there before it is told, ns, and at how many looks.
const LONG_NS: u64 = 4_000_000_000;
const LOOKS: u32 = 3;
/// Most children that are looked at, and most at once.
const MOST: usize = 512;
const MOST_AT_ONCE: usize = 64;
/// Most of its own children that are asked for.
const MOST_CHILDREN: usize = 64;

#[derive(Clone, Debug)]
struct Watched {
    pid: u32,
    fork_ns: u64,
    at_fork: u64,
    /// What the first look found blocked, and how long after the fork that was, ns.
    at_first: Option<(u64, u64)>,
    /// Since when each signal is there, `CLOCK_BOOTTIME`, ns, and at how many looks it was.
    since: FxHashMap<i32, (u64, u32)>,
    due_ns: u64,
    /// The signals that were told.
    told: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct SignalLooks(FxHashMap<ProcId, Watched>);

impl SignalLooks {
    pub(super) fn consider(&mut self, event: &Event, model: &Model, records: &ForkRecords) {
        let Body::ProcessFork(fork) = &event.body else { return };
        if self.0.len() >= MOST {
            return;
        }
        let Some(child) = model.live(fork.child_pid) else { return };
        let Some(at_fork) = records.blocked_at_fork(child.pid) else { return };
        if of_interest(at_fork).next().is_none() || child.inherited().is_none() {
            return;
        }
        let watched = Watched {
            pid: child.pid,
            fork_ns: event.boot_ns,
            at_fork,
            at_first: None,
            since: FxHashMap::default(),
            due_ns: event.boot_ns.saturating_add(FIRST_NS),
            told: 0,
        };
        self.0.insert(child.id, watched);
    }

    pub(super) fn due_ns(&self) -> Option<u64> {
        self.0.values().map(|watched| watched.due_ns).min()
    }

    pub(super) fn due(&mut self, model: &Model, now_ns: u64) -> Vec<Subject> {
        let mut subjects = Vec::new();
        self.0.retain(|id, watched| {
            let child = model.live(watched.pid).filter(|child| child.id == *id);
            let Some(child) = child.filter(|child| child.inherited().is_some()) else {
                return false;
            };
            if watched.due_ns <= now_ns && subjects.len() < MOST_AT_ONCE {
                watched.due_ns = now_ns.saturating_add(AGAIN_NS);
                let task = Task { pid: child.pid, tid: child.pid, comm: child.comm.clone() };
                let pid_of = |id: &ProcId| model.get(*id).map(|child| child.pid);
                let children = child.children.iter().rev().filter_map(pid_of);
                let children = children.take(MOST_CHILDREN).collect();
                subjects.push(Subject::Signals { id: *id, task, children });
            }
            true
        });
        subjects
    }

    /// Takes a look at a child, and says what it tells.
    pub(super) fn take(
        &mut self,
        id: ProcId,
        now: Option<Signals>,
        zombies: Vec<u32>,
        now_ns: u64,
    ) -> Option<Body> {
        let watched = self.0.get_mut(&id)?;
        let Some(now) = now else {
            watched.since.clear();
            return None;
        };
        let after_ns = now_ns.saturating_sub(watched.fork_ns);
        let (at_first, first_after_ns) = *watched.at_first.get_or_insert((now.blocked, after_ns));
        // A mask that fork had for a moment is not that of the child.
        let is_own = signals::is_every(watched.at_fork) && !signals::is_every(at_first);
        let inherited = if is_own { 0 } else { watched.at_fork & at_first & now.blocked };
        if of_interest(inherited).next().is_none() {
            self.0.remove(&id);
            return None;
        }
        let there = inherited & now.pending & !now.served;
        watched.since.retain(|signal, _| there & signals::bit(*signal) != 0);
        let mut pending = Vec::new();
        let mut news = false;
        for signal in of_interest(there) {
            let (since_ns, looks) = watched.since.entry(signal).or_insert((now_ns, 0));
            *looks += 1;
            let for_ns = now_ns.saturating_sub(*since_ns);
            let bit = signals::bit(signal);
            // A child that nobody has waited for makes SIGCHLD matter.
            let counts = signal != signals::CHLD || !zombies.is_empty();
            if for_ns >= LONG_NS && *looks >= LOOKS && counts {
                news |= watched.told & bit == 0;
                watched.told |= bit;
            }
            let handled = now.handled & bit != 0;
            pending.push(PendingSignal { signal, for_ns, looks: *looks, handled });
        }
        if watched.since.is_empty() && now_ns.saturating_sub(watched.fork_ns) > YOUNG_NS {
            watched.due_ns = now_ns.saturating_add(REST_NS);
        }
        let (blocked, at_fork) = (now.blocked, watched.at_fork);
        news.then(|| {
            let seen =
                BlockedSignals { blocked, at_fork, at_first, first_after_ns, pending, zombies };
            Body::BlockedSignals(Box::new(seen))
        })
    }

    pub(super) fn forget(&mut self, id: ProcId) {
        self.0.remove(&id);
    }
}

//! The process tree as the events tell it. Pure: no clock, no IO.

mod apply;
mod checkpoint;
mod file_locks;
mod forget;
mod process;
mod sockets;
#[cfg(test)]
mod tests;
mod threaded_forks;

pub use file_locks::{KnownAct, KnownLock, LockHolder};
pub use process::{Exec, Fork, ProcId, Process, Thread};
pub use sockets::{KnownUser, SharedSocket};

use std::collections::BTreeMap;

use forktrace_common::clone_flags;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::{
    arch::Machine,
    event::{FileUse, ThreadedForks},
};
use threaded_forks::ForksWithThreads;

/// How far a start time from `/proc` may be from the one seen at the fork: `/proc` counts in clock
/// ticks of 10 ms (`USER_HZ`), ns.
pub const START_TOLERANCE_NS: u64 = 20_000_000;

/// Totals of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Processes made, with a copy of their creator's memory.
    pub forks: u64,
    /// Processes made in their creator's memory (vfork, posix_spawn).
    pub vforks: u64,
    /// Threads made.
    pub threads: u64,
    /// Those of them that were made by a forked child, while it had the memory that it inherited.
    pub child_threads: u64,
    /// Programs replaced.
    pub execs: u64,
    /// Processes ended.
    pub exits: u64,
    /// Futex waits longer than the threshold.
    pub long_waits: u64,
    /// Events lost.
    pub lost: u64,
}

/// What applying one event changed, beyond the event itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A process appeared (by fork or from `/proc`).
    Appeared(ProcId),
    /// A process replaced its program.
    Execed(ProcId),
    /// A process ended (also concluded, from its last thread's end or from `/proc`).
    Ended(ProcId),
}

/// All processes of a trace. Of those that have ended only some are kept, see `forget.rs`.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// By id.
    processes: Vec<Process>,
    next_id: u32,
    forgotten: u64,
    /// Of `forgotten`, those below no process that is kept.
    forgotten_roots: u64,
    live: FxHashMap<u32, ProcId>,
    /// By pid: who had it last, of those that have ended and are kept.
    ended: FxHashMap<u32, ProcId>,
    /// With so many ended ones some are forgotten, though there may be less to forget: what is pinned
    /// stays.
    forget_at: usize,
    counts: Counts,
    threaded_forks: ForksWithThreads,
    /// Seen alive in the look at `/proc` that is under way.
    seen_again: FxHashSet<u32>,
    min_wait_ns: u64,
    machine: Machine,
    /// Time of the first event and of the latest.
    span_ns: Option<(u64, u64)>,
    keeps_all: bool,
    /// At least those of which all is known, so that a loss need not go through all others again.
    complete: Vec<ProcId>,
    /// Connections that several processes use, by inode.
    sockets: FxHashMap<u64, SharedSocket>,
    file_locks: FxHashMap<(u64, u64), KnownLock>,
    /// Files and epoll instances that several processes have as one.
    files: BTreeMap<u64, FileUse>,
}

impl Model {
    /// A model that forgets no process: for a picture of all of them.
    pub fn keeping_all() -> Self {
        Model { keeps_all: true, ..Model::default() }
    }

    /// The living process with this pid.
    pub fn live(&self, pid: u32) -> Option<&Process> {
        self.get(*self.live.get(&pid)?)
    }

    /// The living process with this pid, otherwise the latest with it that ended and is kept.
    pub fn latest(&self, pid: u32) -> Option<&Process> {
        self.live(pid).or_else(|| self.get(*self.ended.get(&pid)?))
    }

    /// The living processes.
    pub fn living(&self) -> impl Iterator<Item = &Process> {
        self.live.values().filter_map(|id| self.get(*id))
    }

    /// How many processes are alive.
    pub fn live_count(&self) -> usize {
        self.live.len()
    }

    /// One process, alive or ended, that is still kept.
    pub fn get(&self, id: ProcId) -> Option<&Process> {
        self.processes.get(self.place(id)?)
    }

    fn place(&self, id: ProcId) -> Option<usize> {
        // Mostly nothing was forgotten, and the id is the place.
        let guess = id.0 as usize;
        if self.processes.get(guess).is_some_and(|process| process.id == id) {
            return Some(guess);
        }
        self.processes.binary_search_by_key(&id, |process| process.id).ok()
    }

    fn by_id(&mut self, id: ProcId) -> Option<&mut Process> {
        let place = self.place(id)?;
        self.processes.get_mut(place)
    }

    /// How many processes there were in all.
    pub fn seen(&self) -> u64 {
        self.processes.len() as u64 + self.forgotten
    }

    /// How many of those that are not kept belong below no process that is.
    pub fn forgotten_roots(&self) -> u64 {
        self.forgotten_roots
    }

    /// No finding is about a process any more.
    pub fn unpin(&mut self, id: ProcId) {
        if let Some(process) = self.by_id(id) {
            process.pinned = false;
        }
    }

    /// Keeps a process, as one that a finding is about, until [`Model::unpin`].
    pub fn pin(&mut self, pid: u32) {
        if let Some(process) = self.get_mut(pid) {
            process.pinned = true;
        }
    }

    /// All processes that are kept, in the order of their appearance.
    pub fn all(&self) -> &[Process] {
        &self.processes
    }

    /// Time of the first event and of the latest, `CLOCK_BOOTTIME`, ns; zeros before the first.
    pub fn span_ns(&self) -> (u64, u64) {
        self.span_ns.unwrap_or_default()
    }

    /// The machine that was traced.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Totals so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Living processes known to run in the same memory: made with `CLONE_VM` (vfork, posix_spawn)
    /// and not exec'ed since. Who made one of them may have ended.
    pub fn memory_shared_with(&self, pid: u32) -> Vec<u32> {
        let Some(start) = self.live(pid) else { return Vec::new() };
        let mut group = vec![start];
        let mut next = 0;
        while let Some(process) = group.get(next).copied() {
            next += 1;
            let creator = process.fork.as_ref().and_then(|fork| self.get(fork.by?));
            let creator = creator.filter(|creator| share_memory(creator, process));
            let children = process.children.iter().filter_map(|child| self.get(*child));
            for other in children.filter(|child| share_memory(process, child)).chain(creator) {
                if !group.iter().any(|known| known.id == other.id) {
                    group.push(other);
                }
            }
        }
        let others = group.into_iter().skip(1).filter(|process| process.is_alive());
        others.map(|process| process.pid).collect()
    }

    /// The processes that forked beside other threads of their own, and whose children did not exec: the
    /// one with the most such forks first.
    pub fn threaded_forks(&self) -> Vec<ThreadedForks> {
        self.threaded_forks.all()
    }

    fn get_mut(&mut self, pid: u32) -> Option<&mut Process> {
        self.by_id(*self.live.get(&pid)?)
    }
}

fn share_memory(creator: &Process, child: &Process) -> bool {
    let Some(fork) = child.fork.as_ref().filter(|fork| fork.by == Some(creator.id)) else {
        return false;
    };
    let execed_since = creator.exec.as_ref().is_some_and(|exec| exec.boot_ns >= fork.boot_ns);
    !clone_flags::copies_memory(fork.clone_flags) && child.exec.is_none() && !execed_since
}

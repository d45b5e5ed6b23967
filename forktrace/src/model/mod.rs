//! The process tree as the events tell it. Pure: no clock, no IO.

mod process;

pub use process::{Exec, Fork, ProcId, Process, Thread};

use rustc_hash::FxHashMap;

use crate::event::Event;

/// Totals of a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Processes made, with a copy of their creator's memory.
    pub forks: u64,
    /// Processes made in their creator's memory (vfork, posix_spawn).
    pub vforks: u64,
    /// Threads made.
    pub threads: u64,
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

/// All processes of a trace.
#[derive(Debug, Default)]
pub struct Model {
    processes: Vec<Process>,
    live: FxHashMap<u32, ProcId>,
    counts: Counts,
}

impl Model {
    /// Takes one event into account. Events must come in the order of their time.
    pub fn apply(&mut self, _event: &Event) -> Vec<Change> {
        Vec::new()
    }

    /// The living process with this pid.
    pub fn live(&self, pid: u32) -> Option<&Process> {
        self.live.get(&pid).map(|id| self.get(*id))
    }

    /// One process, alive or ended.
    pub fn get(&self, id: ProcId) -> &Process {
        &self.processes[id.0 as usize]
    }

    /// All processes in the order of their appearance.
    pub fn all(&self) -> &[Process] {
        &self.processes
    }

    /// Totals so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

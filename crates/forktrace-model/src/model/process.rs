//! What is known of one process.

use std::{collections::BTreeMap, sync::Arc};

use crate::event::{Ended, LostThreads, ThreadName, Wait};

/// Identifies one process of a trace, also after its pid was used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcId(pub u32);

/// One process, alive or ended.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its place in the model.
    pub id: ProcId,
    /// Thread group id in the initial pid namespace.
    pub pid: u32,
    /// `CLOCK_BOOTTIME` of its start, ns: of the fork where that was seen, otherwise the start time
    /// that `/proc` shows; 0: not known.
    pub start_ns: u64,
    /// `CLOCK_BOOTTIME`, ns, from which its life is counted: its start, or its release where
    /// forktrace had held it back; 0: not known.
    pub began_ns: u64,
    /// Current name: of its leader.
    pub comm: String,
    /// Pid of its present parent; 0 when that is not known, as after the parent's end.
    pub ppid: u32,
    /// Its present parent, where that is a process of the trace.
    pub parent: Option<ProcId>,
    /// How it was made, where the fork was seen.
    pub fork: Option<Arc<Fork>>,
    /// User id (effective), where `/proc` was looked at or the parent's is known.
    pub uid: Option<u32>,
    /// Path in the cgroup hierarchy, known as `uid` is.
    pub cgroup: Option<Arc<str>>,
    /// Path of its program as `/proc` showed it, where it was looked at and could be read.
    pub exe: Option<String>,
    /// The latest exec seen, if any.
    pub exec: Option<Exec>,
    /// Processes that it made, and children that it was found with, alive or ended, by id.
    pub children: Vec<ProcId>,
    /// Living threads by tid.
    pub threads: BTreeMap<u32, Thread>,
    /// It has or had another thread. Known of processes whose fork was seen.
    pub had_threads: bool,
    /// `CLOCK_BOOTTIME` of its end, ns.
    pub end_ns: Option<u64>,
    /// How it ended, where that was seen.
    pub ended: Option<Ended>,
    /// The threads that its fork did not copy, by the latest look at which what one of them waits for had
    /// changed.
    pub lost_threads: Option<Arc<LostThreads>>,
    /// True once events that may have been about it were lost: what is known of it since is
    /// incomplete.
    pub incomplete: bool,
    /// True when `/proc` was looked at after the latest loss: its threads and parent are right
    /// again, so that its future children are known completely.
    pub(super) resynced: bool,
    /// From when on `threads` are all its threads, `CLOCK_BOOTTIME`, ns; `None`: not yet. Forks of a
    /// process that was alive at the attach may come before forktrace has looked at it.
    pub(super) threads_known_ns: Option<u64>,
    /// Pid in its own pid namespace, where known and different.
    pub ns_pid: Option<u32>,
    /// Ended processes that it had made and that are no longer kept, with those that they had made.
    pub forgotten: u64,
    /// Never to be forgotten: there is a finding about it.
    pub(super) pinned: bool,
}

/// The fork that made a process.
#[derive(Clone, Debug, Default)]
pub struct Fork {
    /// `CLOCK_BOOTTIME`, ns.
    pub boot_ns: u64,
    /// The forking process.
    pub by: Option<ProcId>,
    /// Its pid.
    pub by_pid: u32,
    /// The forking thread.
    pub by_tid: u32,
    /// The forking thread's name.
    pub by_comm: String,
    /// See [`forktrace_common::clone_flags`].
    pub clone_flags: u64,
    /// The forking process's other threads at that instant: they do not exist in the child.
    pub lost: Vec<ThreadName>,
    /// Whether these are all. False when the fork came while forktrace was still attaching, or
    /// after a loss of events.
    pub lost_known: bool,
    /// The fork whose memory the forking process itself still had.
    pub before: Option<Arc<Fork>>,
    /// How many forks can be followed through `before`.
    pub depth: u32,
    /// There were earlier forks than can be followed.
    pub cut: bool,
}

/// How many generations of inherited memory are followed; bounds what is kept, and the recursion
/// when it is freed.
const DEPTH: u32 = 512;

impl Fork {
    /// Puts the fork in front of those whose memory the forking process still had.
    pub(super) fn after(mut self, before: Option<Arc<Fork>>) -> Self {
        let depth = before.as_ref().map_or(0, |before| before.depth + 1);
        self.cut = before.as_ref().is_some_and(|before| before.cut) || depth > DEPTH;
        self.depth = if depth > DEPTH { 0 } else { depth };
        self.before = before.filter(|_| depth <= DEPTH);
        self
    }

    /// This fork, and those through which its memory had come before.
    pub fn line(&self) -> impl Iterator<Item = &Fork> {
        std::iter::successors(Some(self), |fork| fork.before.as_deref())
    }
}

/// A program replaced.
#[derive(Clone, Debug)]
pub struct Exec {
    /// `CLOCK_BOOTTIME`, ns.
    pub boot_ns: u64,
    /// Path as given to exec.
    pub filename: String,
}

/// One living thread.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// Its name.
    pub comm: String,
    /// `CLOCK_BOOTTIME` of its start, ns; zero: before the trace.
    pub start_ns: u64,
    /// The long futex wait it is known to be in.
    pub wait: Option<Wait>,
    /// Start of the latest long wait that was counted, ns.
    pub(super) counted_ns: u64,
}

impl Process {
    pub(super) fn new(id: ProcId, pid: u32, start_ns: u64, comm: &str) -> Self {
        Process {
            id,
            pid,
            start_ns,
            began_ns: start_ns,
            comm: comm.to_owned(),
            ppid: 0,
            parent: None,
            fork: None,
            uid: None,
            cgroup: None,
            exe: None,
            exec: None,
            children: Vec::new(),
            threads: BTreeMap::new(),
            had_threads: false,
            lost_threads: None,
            end_ns: None,
            ended: None,
            incomplete: false,
            resynced: false,
            threads_known_ns: Some(0),
            ns_pid: None,
            forgotten: 0,
            pinned: false,
        }
    }

    /// The fork whose memory this process still has: none once it has exec'ed, or when it runs in
    /// its creator's memory.
    pub fn inherited(&self) -> Option<&Fork> {
        let fork = self.fork.as_deref()?;
        let copied = forktrace_common::clone_flags::copies_memory(fork.clone_flags);
        (copied && self.exec.is_none()).then_some(fork)
    }

    /// The same, to be shared.
    pub(super) fn inherited_shared(&self) -> Option<Arc<Fork>> {
        self.inherited()?;
        self.fork.clone()
    }

    /// How long it has lived at `at` (`CLOCK_BOOTTIME`, ns); `None` where its start is not known.
    pub fn lived_ns(&self, at: u64) -> Option<u64> {
        at.checked_sub(self.began_ns).filter(|_| self.began_ns > 0)
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        self.end_ns.is_none()
    }
}

//! A wait that cannot end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    event::{
        Doing, PythonFrame,
        stacks::{Fate, Frame, Place, TaskNow},
    },
    locks::LockFamily,
};

/// What a finding tells of a task that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitDetail {
    /// How long it had been waiting when this was judged, ns.
    pub waited_ns: u64,
    /// The wait had begun before tracing did: it has lasted longer than `waited_ns`.
    pub since_before: bool,
    /// How long it can have been waiting at most, ns, where the wait had begun before tracing did: the
    /// task itself is no older.
    pub at_most_ns: Option<u64>,
    /// The wait was found by sampling: it began after this time (`CLOCK_BOOTTIME`, ns), and has lasted
    /// `waited_ns` at least.
    pub not_before_ns: Option<u64>,
    /// What it waits for.
    pub lock: Lock,
    /// By whom that is held.
    pub held: Held,
    /// Who held it at the fork, where known; of a self-deadlock the task itself.
    pub holder: Option<Holder>,
    /// Python frames of the task, innermost first.
    pub python: Vec<PythonFrame>,
    /// Why there are no Python frames, when there are none.
    pub python_missing: Option<String>,
    /// Native frames of the task, innermost first.
    pub stack: Vec<Frame>,
    /// Why native callers may be missing.
    pub stack_cut: Option<String>,
    /// Where nothing says who held the lock: threads of the forking process that may have, beside
    /// the one that forked.
    pub candidates: Vec<TaskNow>,
    /// Where a thread that is not in the process was at the fork, in a `with` block of the lock: its
    /// Python frame of that time.
    pub with_at_fork: Option<PythonFrame>,
}

impl WaitDetail {
    /// Drops stacks and names.
    pub(super) fn drop_details(&mut self) {
        self.python = Vec::new();
        self.stack = Vec::new();
        self.candidates = Vec::new();
        if let Some(holder) = &mut self.holder {
            holder.stack = Vec::new();
            holder.python = Vec::new();
        }
    }
}

/// By whom what a task waits for is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// By somebody who took it before the fork.
    SinceFork,
    /// By nobody: somebody has to wake the task.
    ByNobody,
    /// By the task itself.
    ByWaiter,
    /// Not known: it is a lock, or looks like one.
    NotKnown,
}

/// What a task waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Lock {
    /// Address of the lock object.
    pub address: u64,
    /// Address of the futex word.
    pub futex: u64,
    /// What kind of lock it is.
    pub family: &'static LockFamily,
    /// The wait's operation with its flags, as [`crate::event::Wait::op`].
    pub op: u32,
    /// The word while waiting.
    pub value: u32,
    /// The word as inherited, where known.
    pub value_at_fork: Option<u32>,
    /// Where the word lies.
    pub mapping: LockPlace,
    /// Where it lies more closely: in data of a program, or on a stack.
    pub place: Option<Place>,
}

/// In what memory a lock lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LockPlace {
    /// Not known.
    #[default]
    Unknown,
    /// The program break's area.
    Heap,
    /// Other memory of the process alone.
    Anonymous,
    /// Memory of a file, or one that the kernel names (`[stack]`): its path or name.
    Named(String),
}

/// Who held a lock at the fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The thread's name: now where it lives, otherwise at the fork, where known.
    pub comm: Option<String>,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
    /// What it was doing when this was judged, where it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doing: Option<Doing>,
    /// Whether it still has the lock, in its own process; absent: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding: Option<bool>,
    /// Its stack unless it has released the lock, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
    /// Its Python frames at that time, innermost first, where it has not released the lock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub python: Vec<PythonFrame>,
}

impl Holder {
    /// A holder of whom no more is known.
    pub fn new(pid: u32, tid: u32, comm: Option<String>) -> Self {
        let (fate, doing, holding) = (None, None, None);
        Holder { pid, tid, comm, fate, doing, holding, stack: Vec::new(), python: Vec::new() }
    }
}

//! What the judge concludes, as it is printed and logged (`finding` lines, SCHEMA.md).

use rustc_hash::FxHashSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    event::{
        Doing, PythonFrame,
        stacks::{Fate, Frame, Place, TaskNow},
    },
    json_number,
};

/// Most processes that [`Finding::same_lock_in`] names: were it all of them, the findings about many
/// stuck workers would have a length that grows with the square of their number.
pub const MOST_SIBLINGS: usize = 1000;

/// A hazard of fork that was found, with everything that speaks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What is wrong.
    pub kind: Kind,
    /// How sure this is.
    pub confidence: Confidence,
    /// The stuck process.
    pub pid: u32,
    /// The stuck task.
    pub tid: u32,
    /// The stuck task's name.
    pub comm: String,
    /// The stuck process's parent.
    pub ppid: u32,
    /// The pid inside the process's own pid namespace, where that differs.
    pub ns_pid: Option<u32>,
    /// How long it had been waiting when this was judged, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub waited_ns: u64,
    /// The lock.
    pub lock: Lock,
    /// Who held the lock at the fork, where known; of a self-deadlock the stuck task itself.
    pub holder: Option<Holder>,
    /// The fork, where it was observed.
    pub fork: Option<ForkSite>,
    /// What is known of the fork where it was not observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen_fork: Option<UnseenFork>,
    /// The wait had begun before tracing did: it has lasted longer than `waited_ns`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub since_before: bool,
    /// How long it can have been waiting at most, ns, where the wait had begun before tracing did: the
    /// task itself is no older.
    #[serde(with = "json_number::opt", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<json_number::Number>")]
    pub at_most_ns: Option<u64>,
    /// The wait was found by looking now and then (`--lean`): it began after this time
    /// (`CLOCK_BOOTTIME`, ns), and has lasted `waited_ns` at least.
    #[serde(with = "json_number::opt", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<json_number::Number>")]
    pub not_before_ns: Option<u64>,
    /// The rules that led here, strongest first.
    pub evidence: Vec<Proof>,
    /// Other processes of the same fork's maker that were found stuck on the same lock: one fault in
    /// all of them. No more than 1,000 are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_lock_in: Vec<u32>,
    /// Python frames of the stuck task, innermost first.
    pub python: Vec<PythonFrame>,
    /// Why there are no Python frames, when there are none.
    pub python_missing: Option<String>,
    /// Native frames of the stuck task, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
    /// Why native callers may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_cut: Option<String>,
    /// Where nothing says who held the lock: threads of the forking process that may have, beside
    /// the one that forked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<TaskNow>,
    /// Where a thread that is not in the stuck process was at the fork, in a `with` block of the lock:
    /// its Python frame of that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_at_fork: Option<PythonFrame>,
    /// What to do.
    pub advice: String,
}

impl Finding {
    /// Whether nobody was left in the stuck process who could have gone on.
    pub fn is_deadlock(&self) -> bool {
        let rules = ["single-thread", "all-threads-blocked"];
        self.evidence.iter().any(|proof| rules.contains(&proof.rule.as_str()))
    }

    /// Whether the task waits for something that is a lock for certain, which Python tells, and that
    /// no other thread is known to take or release by hand.
    pub fn is_for_python_lock(&self) -> bool {
        let said = |rule: &str| self.evidence.iter().any(|proof| proof.rule == rule);
        said("python-lock") && !said("taken-by-hand") && !said("releases-by-hand")
    }

    /// Drops what only its HANG block tells, which is nearly all of its size.
    pub fn drop_details(&mut self) {
        self.python = Vec::new();
        self.stack = Vec::new();
        self.candidates = Vec::new();
        self.advice = String::new();
        if let Some(fork) = &mut self.fork {
            fork.lost = Vec::new();
            fork.stack = Vec::new();
        }
        if let Some(holder) = &mut self.holder {
            holder.stack = Vec::new();
            holder.python = Vec::new();
        }
    }

    /// The process that forked the stuck one, where that is known: its children have its program, so
    /// that an address means the same in all of them.
    pub fn forked_by(&self) -> Option<u32> {
        let seen = self.fork.as_ref().map(|fork| fork.by_pid);
        seen.or_else(|| self.unseen_fork.as_ref()?.by_pid)
    }

    /// `at least ` where there may be more than those in `same_lock_in`.
    pub fn or_more(&self) -> &'static str {
        if self.same_lock_in.len() < MOST_SIBLINGS { "" } else { "at least " }
    }

    /// Whether it is shown to people. A suspect is where suspects were asked for and, also unasked,
    /// where somebody pointed at this very process (`asked`, by pid) and it is a deadlock or waits
    /// for a lock, or at its parent and it waits for a lock: then the question is not whether it
    /// hangs, but why.
    pub fn is_shown(&self, suspects: bool, asked: &FxHashSet<u32>) -> bool {
        let parent = self.unseen_fork.as_ref().and_then(|fork| fork.by_pid);
        let pointed_at = self.unseen_fork.is_some() && asked.contains(&self.pid);
        let above = parent.is_some_and(|parent| asked.contains(&parent));
        suspects
            || self.confidence > Confidence::Suspect
            || pointed_at && self.is_deadlock()
            || (pointed_at || above) && self.is_for_python_lock()
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The task waits for a lock that was held at the instant of the fork.
    InheritedLock,
    /// The task waits for something that nobody holds, a condition variable for example, and
    /// nobody is left in its process who could wake it.
    LostWaker,
    /// The task waits for a lock that it has itself, taken after the fork.
    SelfDeadlock,
}

/// How sure a finding is; ordered from weak to strong.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Looks like it; something that is alive may still release the lock. Hidden by default.
    Suspect,
    /// Held and nobody seems left to release it, but something could not be excluded.
    Likely,
    /// Proven.
    Certain,
}

impl Confidence {
    /// One step weaker; `None` below suspect.
    pub fn lowered(self) -> Option<Self> {
        match self {
            Confidence::Certain => Some(Confidence::Likely),
            Confidence::Likely => Some(Confidence::Suspect),
            Confidence::Suspect => None,
        }
    }
}

/// The lock of a finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lock {
    /// Address of the lock object.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// Address of the futex word.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub futex: u64,
    /// Its kind in words: `glibc mutex`.
    pub kind: String,
    /// The wait's `op` in words: `WAIT_BITSET private realtime`.
    pub op: String,
    /// The word while waiting.
    pub value: u32,
    /// The word as inherited, where known.
    pub value_at_fork: Option<u32>,
    /// Where the word lies: `heap`, a file's path, …
    pub mapping: String,
    /// The same more closely, where it is data of a program or on a stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
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

/// The fork that made the stuck process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForkSite {
    /// `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub boot_ns: u64,
    /// The process that forked.
    pub by_pid: u32,
    /// The thread that forked.
    pub by_tid: u32,
    /// That thread's name.
    pub by_comm: String,
    /// Threads of the forking process that the child does not have.
    pub threads_lost: u32,
    /// Their names, by tid.
    pub lost: Vec<crate::event::ThreadName>,
    /// Stack of the thread that forked, at the fork, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
    /// Why callers may be missing in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_cut: Option<String>,
}

/// A fork that was not seen: it happened before tracing began, or its event was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnseenFork {
    /// `CLOCK_BOOTTIME`, ns, exact to one clock tick (10 ms): the start of the child.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub boot_ns: u64,
    /// The process that forked, where that is known: the living parent.
    pub by_pid: Option<u32>,
    /// Its name.
    pub by_comm: Option<String>,
    /// The thread that forked, where known.
    pub by_tid: Option<u32>,
    /// That thread's name.
    pub by_thread: Option<String>,
    /// It happened while tracing went on, and its event was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// The thread that the lock names as its owner, by the number in it, where the holder is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_tid: Option<u32>,
}

/// One rule that was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// Short name of the rule: `held-at-fork`.
    pub rule: String,
    /// What was seen, in words.
    pub detail: String,
}

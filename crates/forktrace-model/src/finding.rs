//! What the judge concludes: one envelope for every hazard, with the hazard's own detail inside.

mod buffers;
mod descriptor;
mod fact;
mod file_lock;
mod generators;
mod hazard_id;
mod remedy;
mod stall;
mod threads;
mod wait;

pub use buffers::BuffersDetail;
pub use descriptor::{DescriptorClass, DescriptorDetail, DescriptorUser};
pub use fact::{Effect, Fact, Origin, OwnerName, PageEvidence, Rule};
pub use file_lock::{FileLockDetail, LockLoss, LockParty, SignalsDetail};
pub use generators::GeneratorsDetail;
pub use hazard_id::HazardId;
pub use remedy::Remedy;
pub use stall::{Link, StallDetail};
pub use threads::{Bypass, Library, SignalSort, ThreadLost, ThreadsDetail, Work};
pub use wait::{Held, Holder, Lock, LockPlace, WaitDetail};

use rustc_hash::FxHashSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    event::{PythonFrame, Task, ThreadName, stacks::Frame},
    json_number,
};

/// Most processes that [`Finding::same_fault_in`] names: were it all of them, the findings about many
/// stuck workers would have a length that grows with the square of their number.
pub const MOST_SIBLINGS: usize = 1000;

/// Python frames of a lost thread that are kept to the end: enough to name its function.
const FRAMES_KEPT: usize = 4;

/// A hazard of fork that was found, with everything that speaks for it and against it.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which hazard.
    pub hazard: HazardId,
    /// What it does to the process.
    pub severity: Severity,
    /// How sure this is, whatever the severity.
    pub confidence: Confidence,
    /// Whom it is about.
    pub subject: Subject,
    /// The fork that made the process.
    pub fork: ForkInfo,
    /// What the conclusion rests on and what weakens it, strongest first.
    pub proofs: Vec<Fact>,
    /// Other processes of the forking process with this very fault, by pid: one fault in all of them.
    /// At most [`MOST_SIBLINGS`].
    pub same_fault_in: Vec<u32>,
    /// Tasks that wait for the end of the process.
    pub waited_by: Vec<Task>,
    /// What this hazard tells beyond that.
    pub detail: Detail,
    /// What to do.
    pub remedy: Option<Remedy>,
}

/// The process and the task that a finding is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The process.
    pub pid: u32,
    /// The task.
    pub tid: u32,
    /// The task's name. Chosen by the traced program: hostile until sanitised.
    pub comm: String,
    /// The process's parent.
    pub ppid: u32,
    /// The pid inside the process's own pid namespace, where that differs.
    pub ns_pid: Option<u32>,
}

/// The fork that made the process of a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ForkInfo {
    /// It was observed.
    Observed(Box<ForkSite>),
    /// It was not: it happened before the trace, or its event was lost.
    Unobserved(Box<UnobservedForkSite>),
    /// Nothing is known of it.
    #[default]
    None,
}

/// What a hazard tells beyond the envelope.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Detail {
    /// Nothing: the proofs have it all.
    #[default]
    None,
    /// A task waits and cannot go on.
    Wait(Box<WaitDetail>),
    /// A task is in a call, of whatever kind, that nobody can end.
    Stall(Box<StallDetail>),
    /// Threads that the process does not have.
    Threads(Box<ThreadsDetail>),
    /// Several processes draw the same random numbers.
    Generators(Box<GeneratorsDetail>),
    /// Several processes write what was in a buffer.
    Buffers(Box<BuffersDetail>),
    /// Processes use one open description.
    Descriptor(Box<DescriptorDetail>),
    /// A lock on a file.
    FileLock(Box<FileLockDetail>),
    /// Signals that a process does not take.
    Signals(Box<SignalsDetail>),
}

/// What a hazard does to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A task can never go on.
    Hang,
    /// Data is, or may be, wrong.
    Corruption,
    /// Nothing is wrong yet.
    Risk,
}

/// How sure a finding is; ordered from weak to strong.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Something that is alive may still resolve it. Hidden by default.
    Suspect,
    /// Nobody seems left who could resolve it, but something could not be excluded.
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

/// A fork that was observed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    pub lost: Vec<ThreadName>,
    /// Stack of the thread that forked, at the fork, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
    /// Why callers may be missing in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_cut: Option<String>,
}

/// A fork that was not observed: it happened before tracing began, or its event was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnobservedForkSite {
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
    /// Threads of the living parent that are older than the process, beside the one that forked: the
    /// process does not have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older_threads: Vec<ThreadName>,
}

/// What a finding is about within its process: later findings about it take its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    about: About,
    tid: u32,
    place: u64,
}

/// What sort of thing a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum About {
    /// One thread's wait on one futex word: not one system call, since a signal may interrupt it and the
    /// thread goes back to it. There is one finding about it, of whatever hazard.
    Wait,
    /// What the tasks of the process wait for: there is one finding about it, of whatever hazard.
    Stall,
    /// Locks on a file, by its inode.
    FileLock,
    /// An open description.
    Descriptor(DescriptorClass),
    /// The process, as far as one hazard is concerned.
    Hazard(HazardId),
}

impl Key {
    /// The wait of thread `tid` on the futex word at `uaddr`.
    pub fn of_wait(tid: u32, uaddr: u64) -> Self {
        Key { about: About::Wait, tid, place: uaddr }
    }

    /// What the tasks of a process wait for.
    pub fn of_stall() -> Self {
        Key { about: About::Stall, tid: 0, place: 0 }
    }
}

impl Finding {
    /// What it is about within its process.
    pub fn key(&self) -> Key {
        match &self.detail {
            Detail::Wait(wait) => Key::of_wait(self.subject.tid, wait.lock.futex),
            Detail::Stall(_) => Key::of_stall(),
            Detail::Descriptor(shared) => {
                Key { about: About::Descriptor(shared.class), tid: 0, place: shared.id }
            }
            Detail::FileLock(lock) => Key { about: About::FileLock, tid: 0, place: lock.inode },
            Detail::Threads(_)
            | Detail::Generators(_)
            | Detail::Buffers(_)
            | Detail::Signals(_)
            | Detail::None => Key { about: About::Hazard(self.hazard), tid: 0, place: 0 },
        }
    }

    /// The wait, if the hazard is one.
    pub fn wait(&self) -> Option<&WaitDetail> {
        match &self.detail {
            Detail::Wait(wait) => Some(wait),
            _ => None,
        }
    }

    /// Who waits for whom, if the hazard is about that.
    pub fn stall(&self) -> Option<&StallDetail> {
        match &self.detail {
            Detail::Stall(stall) => Some(stall),
            _ => None,
        }
    }

    /// The threads that the process does not have, if the hazard is about them.
    pub fn threads(&self) -> Option<&ThreadsDetail> {
        match &self.detail {
            Detail::Threads(threads) => Some(threads),
            _ => None,
        }
    }

    /// The generators, if the hazard is about such.
    pub fn generators(&self) -> Option<&GeneratorsDetail> {
        match &self.detail {
            Detail::Generators(generators) => Some(generators),
            _ => None,
        }
    }

    /// The buffers, if the hazard is about such.
    pub fn buffers(&self) -> Option<&BuffersDetail> {
        match &self.detail {
            Detail::Buffers(buffers) => Some(buffers),
            _ => None,
        }
    }

    /// What is shared, if the hazard is about that.
    pub fn descriptor(&self) -> Option<&DescriptorDetail> {
        match &self.detail {
            Detail::Descriptor(shared) => Some(shared),
            _ => None,
        }
    }

    /// The lock on a file, if the hazard is about one.
    pub fn file_lock(&self) -> Option<&FileLockDetail> {
        match &self.detail {
            Detail::FileLock(lock) => Some(lock),
            _ => None,
        }
    }

    /// The signals, if the hazard is about such.
    pub fn signals(&self) -> Option<&SignalsDetail> {
        match &self.detail {
            Detail::Signals(signals) => Some(signals),
            _ => None,
        }
    }

    /// The fork, where it was observed.
    pub fn fork_site(&self) -> Option<&ForkSite> {
        match &self.fork {
            ForkInfo::Observed(fork) => Some(fork),
            _ => None,
        }
    }

    /// What is known of the fork, where it was not observed.
    pub fn unobserved_fork(&self) -> Option<&UnobservedForkSite> {
        match &self.fork {
            ForkInfo::Unobserved(fork) => Some(fork),
            _ => None,
        }
    }

    /// What it waits for, if the hazard is a wait.
    pub fn lock(&self) -> Option<&Lock> {
        Some(&self.wait()?.lock)
    }

    /// Who had the lock at the fork, where known; of a self-deadlock the stuck task itself.
    pub fn holder(&self) -> Option<&Holder> {
        self.wait()?.holder.as_ref()
    }

    /// Native frames of the task, innermost first.
    pub fn stack(&self) -> &[Frame] {
        match &self.detail {
            Detail::Wait(wait) => &wait.stack,
            Detail::Stall(stall) => &stall.stack,
            Detail::Threads(_)
            | Detail::Generators(_)
            | Detail::Buffers(_)
            | Detail::Descriptor(_)
            | Detail::FileLock(_)
            | Detail::Signals(_)
            | Detail::None => &[],
        }
    }

    /// Python frames of the task, innermost first.
    pub fn python(&self) -> &[PythonFrame] {
        match &self.detail {
            Detail::Wait(wait) => &wait.python,
            Detail::Stall(stall) => &stall.python,
            Detail::Threads(threads) => &threads.python,
            Detail::Generators(_)
            | Detail::Buffers(_)
            | Detail::Descriptor(_)
            | Detail::FileLock(_)
            | Detail::Signals(_)
            | Detail::None => &[],
        }
    }

    /// Whether a rule was applied.
    pub fn has(&self, rule: Rule) -> bool {
        self.proofs.iter().any(|fact| fact.rule() == rule)
    }

    /// Whether nobody was left in the process who could have gone on.
    pub fn is_deadlock(&self) -> bool {
        self.has(Rule::SingleThread) || self.has(Rule::AllThreadsBlocked)
    }

    /// Whether the task waits for something that is a lock for certain, which Python tells, and that
    /// no other thread is known to take or release by hand.
    pub fn is_for_python_lock(&self) -> bool {
        self.has(Rule::PythonLock)
            && !self.has(Rule::TakenByHand)
            && !self.has(Rule::ReleasesByHand)
    }

    /// Whether the task waits for something that is a lock for certain, which only who took it releases.
    fn is_for_own_lock(&self) -> bool {
        let is_one = |lock: &Lock| !lock.family.anyone_may_release && !lock.family.may_be_event;
        self.hazard == HazardId::InheritedLock && self.lock().is_some_and(is_one)
    }

    /// Drops what only its block prints, which is nearly all of its size.
    pub fn drop_details(&mut self) {
        self.remedy = None;
        match &mut self.fork {
            ForkInfo::Observed(fork) => {
                fork.lost = Vec::new();
                fork.stack = Vec::new();
            }
            ForkInfo::Unobserved(fork) => fork.older_threads = Vec::new(),
            ForkInfo::None => {}
        }
        match &mut self.detail {
            Detail::Wait(wait) => wait.drop_details(),
            Detail::Stall(stall) => {
                stall.python = Vec::new();
                stall.stack = Vec::new();
            }
            Detail::Threads(threads) => {
                threads.python = Vec::new();
                threads.threads.retain(|thread| thread.work.is_some());
                for thread in &mut threads.threads {
                    thread.stack = Vec::new();
                    thread.python.truncate(FRAMES_KEPT);
                }
            }
            Detail::Generators(generators) => generators.found.truncate(1),
            Detail::Buffers(buffers) => buffers.found.truncate(1),
            Detail::Descriptor(_) | Detail::FileLock(_) | Detail::Signals(_) | Detail::None => {}
        }
    }

    /// The process that forked the one of the finding, where that is known: its children have its
    /// program, so that an address means the same in all of them.
    pub fn forked_by(&self) -> Option<u32> {
        match &self.fork {
            ForkInfo::Observed(fork) => Some(fork.by_pid),
            ForkInfo::Unobserved(fork) => fork.by_pid,
            ForkInfo::None => None,
        }
    }

    /// Whether there may be more processes with this fault than are named.
    pub fn may_have_more_siblings(&self) -> bool {
        self.same_fault_in.len() >= MOST_SIBLINGS
    }

    /// Whether it is shown to people. A suspect is shown where suspects were asked for and, also
    /// unasked, where somebody pointed at this very process (`asked`, by pid) and it is a deadlock or
    /// waits for what is a lock for certain, or at its parent and it waits for such a lock: then the
    /// question is not whether it hangs, but why.
    pub fn is_shown(&self, suspects: bool, asked: &FxHashSet<u32>) -> bool {
        let parent = self.unobserved_fork().and_then(|fork| fork.by_pid);
        let pointed_at = self.unobserved_fork().is_some() && asked.contains(&self.subject.pid);
        let above = parent.is_some_and(|parent| asked.contains(&parent));
        suspects
            || self.confidence > Confidence::Suspect
            || pointed_at && self.is_deadlock()
            || (pointed_at || above) && (self.is_for_python_lock() || self.is_for_own_lock())
    }
}

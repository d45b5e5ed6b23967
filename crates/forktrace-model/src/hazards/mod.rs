//! The hazards of fork: one file and one line of [`HAZARDS`] each.
//!
//! A hazard looks at one event beside the process tree and says what it makes of it. Pure: evidence and
//! model in, verdict out. What waits have in common stands in [`wait`]. A false alarm costs more trust
//! than a miss, so that a rule that cannot be checked counts as not met.

mod blocked_signals;
mod copied;
mod deadlock;
mod duplicated_prng;
mod family;
mod file_lock_lost;
mod handlers;
mod held_open;
mod inherited_lock;
mod live;
mod lost_waker;
mod orphaned_lock;
mod remedies;
mod self_deadlock;
mod shared_descriptor;
pub(crate) mod stall;
#[cfg(test)]
mod tests;
mod threads_lost;
mod unflushed_buffer;
pub(crate) mod wait;

pub use family::root as family_root;
pub use stall::{Account, accounts, polls_for_nobody, stuck_among_others, stuck_thread};
pub use threads_lost::{MOMENT_NS, audit, is_ending, work_waiting};
pub use wait::{others_run, wants_python, wants_stack};

use crate::{
    event::{Body, Event},
    finding::{Confidence, Finding, HazardId, Key},
    model::Model,
};
use stall::StallCase;
use wait::WaitCase;

/// All hazards. Each decides by itself whether an event is its own. The first finding that is at least
/// likely counts, so that what says more stands before what says less; otherwise the strongest.
pub static HAZARDS: &[&dyn Hazard] = &[
    &self_deadlock::SelfDeadlock,
    &inherited_lock::InheritedLock,
    &lost_waker::LostWaker,
    &deadlock::Deadlock,
    &orphaned_lock::OrphanedLock,
    &held_open::HeldOpen,
    &threads_lost::ThreadsLost,
    &duplicated_prng::DuplicatedPrng,
    &unflushed_buffer::UnflushedBuffer,
    &shared_descriptor::SharedDescriptor,
    &file_lock_lost::FileLockLost,
    &blocked_signals::BlockedSignalsHazard,
];

/// One hazard.
pub trait Hazard: Sync {
    /// Its name.
    fn id(&self) -> HazardId;

    /// What it makes of an event.
    fn judge(&self, cx: &Context<'_>) -> Verdict;
}

/// What a hazard makes of an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// A finding, boxed because it is large beside the others.
    Finding(Box<Finding>),
    /// It is none, and sampling again will not change that.
    Innocent(Reason),
    /// Nothing can be said now; a later sample may.
    Open(Reason),
    /// The event is not about this hazard.
    Unrelated,
}

/// What hazards get to see of an event.
pub struct Context<'a> {
    /// The event.
    pub event: &'a Event,
    /// The process tree, which has taken the event.
    pub model: &'a Model,
    /// The wait that the event is evidence of, or why it cannot be judged. `None`: it is no evidence.
    pub(crate) wait: Option<Result<WaitCase<'a>, Verdict>>,
    /// What all hazards together make of what the event tells of tasks that do not move: it is of one
    /// hazard at most. `None`: it tells nothing.
    pub(crate) stall: Option<Verdict>,
}

impl<'a> Context<'a> {
    /// The context of an event.
    pub fn new(event: &'a Event, model: &'a Model) -> Self {
        let wait = match (&event.body, &event.task) {
            (Body::Evidence(evidence), Some(task)) => {
                Some(WaitCase::new(event, task, evidence, model))
            }
            _ => None,
        };
        let stall = match (&event.body, &event.task) {
            (Body::Stall(stall), Some(task)) => {
                StallCase::new(event.boot_ns, task, stall, model).map(|case| case.verdict())
            }
            _ => None,
        };
        Context { event, model, wait, stall }
    }
}

/// What all hazards together make of an event.
pub fn judge(event: &Event, model: &Model) -> Verdict {
    let cx = Context::new(event, model);
    if let Some(Err(verdict)) = &cx.wait {
        return verdict.clone();
    }
    let mut best = Verdict::Unrelated;
    for hazard in HAZARDS {
        let verdict = hazard.judge(&cx);
        match (&verdict, &best) {
            (Verdict::Finding(one), _) if one.confidence >= Confidence::Likely => return verdict,
            (Verdict::Finding(one), Verdict::Finding(other))
                if one.confidence <= other.confidence => {}
            (Verdict::Unrelated, _) => {}
            (Verdict::Finding(_), _) => best = verdict,
            (_, Verdict::Finding(_)) => {}
            _ => best = verdict,
        }
    }
    best
}

/// What an event ends, of the process that it happened to: a finding about that is resolved, of whatever
/// hazard.
pub fn resolved_by(event: &Event) -> Option<Key> {
    wait::ended_by(event).or_else(|| stall::ended_by(event))
}

/// Whether a finding tells nothing more where its process hangs anyway: who hands work to threads that are lost
/// and waits for it is told by the wait.
pub(crate) fn is_told_by_a_hang(finding: &Finding) -> bool {
    finding.hazard == HazardId::ThreadsLost
}

/// Why there is no finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It was over before everything was read.
    WaitEnded,
    /// It ends by itself.
    Timed,
    /// Somebody who can run could end it.
    OthersCanWake,
    /// Other processes may see the word.
    SharedMapping,
    /// Another process runs in the same memory.
    SharedMemory,
    /// The process's memory is not known to come from a fork.
    NotForked,
    /// What the word belongs to is not known.
    UnknownLock,
    /// The memory around the word could not be read.
    Unreadable,
    /// Something denied that it be read.
    Denied,
    /// It was on a machine whose locks are not known.
    UnknownMachine,
    /// The lock was free at the fork.
    FreeAtFork,
    /// The lock changed hands since the fork.
    OwnerChanged,
    /// The child itself has the lock.
    OwnedByChild,
    /// The child has released the lock since the fork.
    WokenSince,
    /// The child's first write to the word was a release, or made a new lock.
    ReleasedHere,
    /// No thread of the process can run, and the finding is about another of them.
    StuckWithAnother,
    /// Nothing proves that the lock was held, and something may still release it.
    Undecided,
    /// The fork was not observed, and nothing shows any more what was held then.
    TooLate,
    /// What is shared is used as it may be meant.
    NotHarmful,
}

//! What is known of the fork that made the waiter's process.
//!
//! Where it was observed, the model has it, with the threads that were lost. Where forktrace attached
//! after it, maybe to a hang that is minutes old, the same rules ask the same questions with less to go
//! by: that the lock was held is concluded from its owner, who was a task before the process was one,
//! from the parent's memory, where that has stayed as it was, or from what a Python thread left behind
//! that is not here. Nothing is more than *likely* then.

use super::{Assessment, WaitCase};
use crate::{
    event::{
        AtFork, Evidence, Learnt, Relative, RelativeThread, Task, ThreadName, UnobservedFork,
        is_older,
    },
    finding::{
        Confidence, Fact, Finding, ForkInfo, ForkSite, Held, Holder, Origin, PageEvidence,
        UnobservedForkSite,
    },
    hazards::{Reason, Verdict},
    locks::{Reading, State},
    model::{Fork, Process},
};

/// What is known of a fork.
pub(in crate::hazards) enum ForkKnowledge<'a> {
    /// It was observed.
    Observed {
        /// The fork.
        fork: &'a Fork,
        /// The forks by which the memory came here, the fork itself first.
        line: Vec<&'a Fork>,
    },
    /// It was not.
    Unobserved {
        /// What was learnt after the fact.
        late: &'a UnobservedFork,
        /// The fork, as far as that can be known.
        assumed: Box<Fork>,
        /// Where the lock's owner comes from.
        owner: OwnerAge<'a>,
    },
}

/// Where the task comes from whose number the lock has as its owner now.
#[derive(Clone, Copy)]
pub(in crate::hazards) enum OwnerAge<'a> {
    /// The lock has none, or nothing is known of it.
    Unknown,
    /// A living thread of the parent, older than the child: its number was never the child's.
    OfParent(&'a RelativeThread),
    /// Older than the child, by its number.
    Older,
    /// Younger than the child, by its number: whoever it was, it did not hold the lock at the fork.
    Younger,
}

impl<'a> ForkKnowledge<'a> {
    /// What is known of the fork that made the process of `task`.
    ///
    /// # Errors
    /// The process has no memory of a fork.
    pub(super) fn new(
        task: &Task,
        evidence: &'a Evidence,
        process: &'a Process,
    ) -> Result<Self, Verdict> {
        let not_forked = Verdict::Innocent(Reason::NotForked);
        if let Some(late) = &evidence.late {
            // One that was seen to fork is judged by that; after an exec nothing inherited is left.
            return match process.fork.is_some() || process.exec.is_some() {
                true => Err(not_forked),
                false => Ok(ForkKnowledge::Unobserved {
                    late,
                    assumed: Box::new(assumed(late, task.pid)),
                    owner: OwnerAge::Unknown,
                }),
            };
        }
        match process.inherited() {
            Some(fork) if fork.boot_ns <= evidence.wait.enter_ns => {
                Ok(ForkKnowledge::Observed { fork, line: fork.line().collect() })
            }
            _ => Err(not_forked),
        }
    }

    /// Adds what the lock tells.
    ///
    /// # Errors
    /// The lock tells that nothing was inherited, or nothing can be said.
    pub(super) fn complete(
        &mut self,
        task: &Task,
        evidence: &'a Evidence,
        reading: &Reading,
        is_event: bool,
    ) -> Result<(), Verdict> {
        let ForkKnowledge::Unobserved { late, owner, .. } = self else { return Ok(()) };
        *owner = owner_age(task, evidence, reading, late);
        let is_forked = late.not_execed || late.relative.is_some();
        if !is_forked && (is_event || !matches!(owner, OwnerAge::Older)) {
            return Err(Verdict::Innocent(Reason::NotForked));
        }
        Ok(())
    }

    /// Whether it was not observed.
    pub(in crate::hazards) fn is_unobserved(&self) -> bool {
        matches!(self, ForkKnowledge::Unobserved { .. })
    }

    /// The fork, as far as it is known.
    pub(in crate::hazards) fn site(&self) -> &Fork {
        match self {
            ForkKnowledge::Observed { fork, .. } => fork,
            ForkKnowledge::Unobserved { assumed, .. } => assumed,
        }
    }

    /// The forks by which the memory came here, the latest first.
    pub(super) fn line(&self) -> &[&'a Fork] {
        match self {
            ForkKnowledge::Observed { line, .. } => line,
            ForkKnowledge::Unobserved { .. } => &[],
        }
    }

    /// How many threads the memory was left without, by all forks through which it came; where the fork
    /// was not observed, how many the living parent has that are older than the process.
    pub(in crate::hazards) fn threads_lost(&self) -> u64 {
        match self {
            ForkKnowledge::Observed { line, .. } => {
                line.iter().map(|fork| fork.lost.len() as u64).sum()
            }
            // The one that forked is among them where it is not known.
            ForkKnowledge::Unobserved { assumed, .. } => {
                let others = assumed.lost.len() as u64;
                others.saturating_sub(u64::from(assumed.by_tid == 0))
            }
        }
    }

    /// Whether all threads that were lost are known.
    pub(in crate::hazards) fn are_lost_known(&self) -> bool {
        match self {
            ForkKnowledge::Observed { line, .. } => line.iter().all(|fork| fork.lost_known),
            ForkKnowledge::Unobserved { .. } => false,
        }
    }

    /// Why there is no finding where the rules do not suffice for one.
    pub(in crate::hazards) fn undecided(&self) -> Reason {
        if self.is_unobserved() { Reason::TooLate } else { Reason::Undecided }
    }

    /// Why there is no finding about something that nobody holds.
    pub(in crate::hazards) fn unknown_event(&self) -> Reason {
        if self.is_unobserved() { Reason::TooLate } else { Reason::UnknownLock }
    }

    /// How the inherited bytes are known, where they are.
    pub(super) fn page(&self) -> PageEvidence {
        match self {
            ForkKnowledge::Observed { .. } => PageEvidence::Kept,
            ForkKnowledge::Unobserved { late, .. } => match late.learnt {
                Some(Learnt::LatestFork) => PageEvidence::LatestFork,
                Some(Learnt::SharedWith(pid)) => PageEvidence::SharedWith(pid),
                None => PageEvidence::KeptUnobserved,
            },
        }
    }

    /// How long a wait that is older than the trace can have lasted at most, ns: its thread, or the
    /// process that came with it, is no older.
    pub(super) fn at_most_ns(&self, evidence: &Evidence, now_ns: u64) -> Option<u64> {
        let ForkKnowledge::Unobserved { late, .. } = self else { return None };
        let born_ns = late.thread_start_ns.unwrap_or(late.start_ns).max(late.start_ns);
        Some(now_ns.saturating_sub(born_ns)).filter(|_| evidence.wait.since_before)
    }

    /// Writes what is known of the fork into a finding.
    pub(super) fn describe(&self, finding: &mut Finding, case: &WaitCase<'_>) {
        match self {
            ForkKnowledge::Observed { .. } => {}
            ForkKnowledge::Unobserved { late, owner, .. } => {
                describe_unobserved(finding, case, late, *owner);
            }
        }
    }
}

/// An observed fork, for a finding.
pub(in crate::hazards) fn fork_site(fork: &Fork) -> ForkSite {
    ForkSite {
        boot_ns: fork.boot_ns,
        by_pid: fork.by_pid,
        by_tid: fork.by_tid,
        by_comm: fork.by_comm.clone(),
        threads_lost: u32::try_from(fork.lost.len()).unwrap_or(u32::MAX),
        lost: fork.lost.clone(),
        stack: Vec::new(),
        stack_cut: None,
    }
}

/// A fork that was not observed makes nothing more than likely.
pub(in crate::hazards) fn unobserved(case: &WaitCase<'_>) -> Option<Assessment> {
    Some(Assessment::at_most(Confidence::Likely, not_seen(case)?))
}

fn not_seen(case: &WaitCase<'_>) -> Option<Fact> {
    let ForkKnowledge::Unobserved { late, .. } = &case.fork else { return None };
    let origin = match &late.relative {
        Some(relative) if relative.parent => Origin::Parent,
        Some(relative) => Origin::Process(relative.pid),
        None if late.not_execed => Origin::NotExeced,
        None => Origin::Unknown,
    };
    let word_unknown = late.learnt.is_none() && matches!(case.at_fork(), AtFork::Unknown(_));
    Some(Fact::ForkNotSeen { origin, word_unknown })
}

/// A fork that was not observed leaves open why nobody is left, and changes nothing of that.
pub(in crate::hazards) fn why_unknown(case: &WaitCase<'_>) -> Option<Assessment> {
    Some(Assessment::note(not_seen(case)?))
}

/// Where events may be missing, everything is one step weaker.
pub(in crate::hazards) fn events_lost(case: &WaitCase<'_>) -> Option<Assessment> {
    case.process.incomplete.then(|| Assessment::lower(Fact::EventsLost {}))
}

/// What the rules need to know of a fork that was not observed, as far as it can be known.
fn assumed(late: &UnobservedFork, pid: u32) -> Fork {
    let older =
        |thread: &RelativeThread| is_older((thread.start_ns, thread.tid), (late.start_ns, pid));
    let relative = late.relative.as_ref();
    let forker = relative.and_then(|relative| relative.forker).unwrap_or(0);
    let others = relative.map(|relative| relative.threads.as_slice()).unwrap_or_default().iter();
    let others = others.filter(|thread| thread.tid != forker && older(thread));
    Fork {
        boot_ns: late.start_ns,
        by: None,
        by_pid: relative.filter(|relative| relative.parent).map_or(0, |relative| relative.pid),
        by_tid: forker,
        by_comm: String::new(),
        clone_flags: 0,
        lost: others
            .map(|thread| ThreadName { tid: thread.tid, comm: thread.comm.clone() })
            .collect(),
        lost_known: false,
        ..Fork::default()
    }
}

fn owner_age<'a>(
    task: &Task,
    evidence: &Evidence,
    reading: &Reading,
    late: &'a UnobservedFork,
) -> OwnerAge<'a> {
    let State::Held { owner: Some(owner) } = reading.now else { return OwnerAge::Unknown };
    let parent = late.relative.as_ref().filter(|parent| parent.parent && parent.same_pid_ns);
    let thread = parent.and_then(|parent| {
        let mut threads = parent.threads.iter();
        threads.find(|thread| thread.ns_tid.unwrap_or(thread.tid) == owner)
    });
    let own = (late.start_ns, task.pid);
    match thread {
        Some(thread) if is_older((thread.start_ns, thread.tid), own) => OwnerAge::OfParent(thread),
        Some(_) => OwnerAge::Unknown,
        None if !late.tids_in_order || evidence.ns_pid.is_some() => OwnerAge::Unknown,
        None if owner < task.pid => OwnerAge::Older,
        None if owner > task.pid => OwnerAge::Younger,
        None => OwnerAge::Unknown,
    }
}

/// Whether the thread of the child that carries on the forking one may still release a lock that
/// `owner` had at a fork that was not observed: that can be said unless it waits itself, or another
/// thread than the forking one had the lock.
pub(super) fn heir_may_release(case: &WaitCase<'_>, late: &UnobservedFork, owner: u32) -> bool {
    let relative = late.relative.as_ref().filter(|relative| relative.same_pid_ns);
    let forker = relative.and_then(|relative| {
        let mut threads = relative.threads.iter();
        let thread = threads.find(|thread| Some(thread.tid) == relative.forker)?;
        Some(thread.ns_tid.unwrap_or(thread.tid))
    });
    // A number that is none of the parent's may be that of an ancestor's thread, whose heir forked.
    let is_parents =
        relative.is_some_and(|relative| !relative.forked || has_thread(relative, owner));
    if forker.is_some_and(|forker| forker != owner) && is_parents {
        return false;
    }
    // A forked process begins with the heir alone, which has the process's own number.
    let heir = case.evidence.threads.iter().find(|thread| thread.tid == case.task.pid);
    // Whatever else it waits for, a living thread may end that.
    let waits = |tid: u32| case.evidence.waiters.iter().any(|waiter| waiter.tid == tid);
    heir.is_none_or(|heir| heir.tid != case.task.tid && !waits(heir.tid))
}

fn has_thread(relative: &Relative, number: u32) -> bool {
    relative.threads.iter().any(|thread| thread.ns_tid.unwrap_or(thread.tid) == number)
}

/// Puts what is known of the fork in the place of what was assumed.
fn describe_unobserved(
    finding: &mut Finding,
    case: &WaitCase<'_>,
    late: &UnobservedFork,
    owner: OwnerAge<'_>,
) {
    let parent = late.relative.as_ref().filter(|relative| relative.parent);
    let at_fork = match case.reading.at_fork {
        State::Held { owner } => owner,
        _ => None,
    };
    let same_numbers = case.evidence.ns_pid.is_none();
    let holder = match (owner, parent, at_fork) {
        (OwnerAge::OfParent(thread), Some(parent), _) => Some((parent, thread.tid, Some(thread))),
        // By its number alone, out of the memory as inherited.
        (_, Some(parent), Some(tid)) if same_numbers && parent.same_pid_ns && !parent.forked => {
            Some((parent, tid, None))
        }
        _ => None,
    };
    let holder = holder.map(|(parent, tid, thread)| {
        Holder::new(parent.pid, tid, thread.map(|thread| thread.comm.clone()))
    });
    let held = finding.wait().map(|wait| wait.held);
    let owner_tid = match held {
        Some(Held::SinceFork) if holder.is_none() => case.owner_now(),
        _ => None,
    };
    let forker = parent.and_then(|parent| parent.forker);
    let thread =
        parent.and_then(|parent| parent.threads.iter().find(|thread| Some(thread.tid) == forker));
    if let crate::finding::Detail::Wait(wait) = &mut finding.detail {
        wait.holder = holder;
    }
    finding.fork = ForkInfo::Unobserved(Box::new(UnobservedForkSite {
        boot_ns: late.start_ns,
        by_pid: parent.map(|parent| parent.pid),
        by_comm: parent.map(|parent| parent.comm.clone()),
        by_tid: forker,
        by_thread: thread.map(|thread| thread.comm.clone()),
        lost: case.lost_since_start(late.start_ns),
        owner_tid,
        older_threads: parent.map(|_| case.fork.site().lost.clone()).unwrap_or_default(),
    }));
}

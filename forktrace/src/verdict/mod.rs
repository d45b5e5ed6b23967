//! Is this child stuck on a lock it inherited held? Pure: evidence and model in, verdict out.
//!
//! The rules are few and each has one function. First the *gates* (`gates.rs`): anything that says
//! the wait may end, or that it is not about an inherited lock, ends the matter in silence. Then
//! the *grade* (`grade.rs`): how sure the remaining evidence makes us. A false alarm costs more
//! trust than a miss, so that a rule that cannot be checked counts as not met.

mod advice;
mod gates;
mod grade;
mod holder;
mod judge;
#[cfg(test)]
mod tests;

pub use judge::{Judge, Judged, Outcome};

use crate::{
    event::{AtFork, Event, Evidence, Python, Task},
    finding::{Confidence, Finding, ForkSite, Kind, Lock, Proof},
    locks::{self, Reading, Scene},
    model::{Fork, Model, Process},
    report::ops::wait_op,
};

/// What is concluded from one look at a wait.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// A finding, boxed because it is large beside the others.
    Finding(Box<Finding>),
    /// The wait is none of ours, and looking again will not change that.
    Innocent(Reason),
    /// Nothing can be said now; a later look may.
    Open(Reason),
}

/// Why there is no finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It was over before everything was read.
    WaitEnded,
    /// It ends by itself.
    Timed,
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
    /// The lock was free at the fork.
    FreeAtFork,
    /// The lock changed hands since the fork.
    OwnerChanged,
    /// The child itself has the lock.
    OwnedByChild,
    /// The child has released the lock since the fork.
    WokenSince,
    /// Nothing proves that the lock was held, and something may still release it.
    Undecided,
}

impl Reason {
    /// In words, for the detailed output.
    pub fn text(self) -> &'static str {
        match self {
            Reason::WaitEnded => "the wait ended while it was looked at",
            Reason::Timed => "the wait has a timeout",
            Reason::SharedMapping => "the word is in memory shared with other processes",
            Reason::SharedMemory => "another process runs in the same memory",
            Reason::NotForked => "no fork was seen whose memory the process still has",
            Reason::UnknownLock => "the kind of lock is not known",
            Reason::Unreadable => "the memory around the word could not be read",
            Reason::FreeAtFork => "the lock was free at the fork",
            Reason::OwnerChanged => "the lock has another owner than at the fork",
            Reason::OwnedByChild => "a thread of the child itself owns the lock",
            Reason::WokenSince => "the child has released the lock since the fork",
            Reason::Undecided => "nothing proves that the lock was held at the fork",
        }
    }
}

/// Everything that the rules may look at.
pub(crate) struct Case<'a> {
    task: &'a Task,
    evidence: &'a Evidence,
    process: &'a Process,
    fork: &'a Fork,
    /// The forks by which the memory came here, see [`holder::line`].
    line: Vec<&'a Fork>,
    reading: Reading,
}

/// Judges one look at a wait. `event` is the evidence's event, for its time and task.
pub fn judge(event: &Event, evidence: &Evidence, model: &Model) -> Verdict {
    let Some(task) = event.task.as_ref() else {
        return Verdict::Open(Reason::Unreadable);
    };
    let case = match case(task, evidence, model) {
        Ok(case) => case,
        Err(verdict) => return verdict,
    };
    if let Some(reason) = gates::lock(&case) {
        return Verdict::Innocent(reason);
    }
    let Some(grade) = grade::grade(&case) else {
        return Verdict::Open(Reason::Undecided);
    };
    let waited_ns = event.boot_ns.saturating_sub(evidence.wait.enter_ns);
    Verdict::Finding(Box::new(finding(&case, grade.confidence, grade.proofs, waited_ns)))
}

/// Collects what the rules need, or says why they cannot be applied.
fn case<'a>(task: &'a Task, evidence: &'a Evidence, model: &'a Model) -> Result<Case<'a>, Verdict> {
    if let Some(verdict) = gates::wait(evidence) {
        return Err(verdict);
    }
    let process = model.live(task.pid).ok_or(Verdict::Open(Reason::NotForked))?;
    let fork = process.inherited().ok_or(Verdict::Innocent(Reason::NotForked))?;
    if fork.boot_ns > evidence.wait.enter_ns {
        return Err(Verdict::Innocent(Reason::NotForked));
    }
    let now = evidence.now.as_ref().ok_or(Verdict::Open(Reason::Unreadable))?;
    let at_fork = match &evidence.at_fork {
        AtFork::Known(window) => Some(window),
        AtFork::Unknown(_) => None,
    };
    let scene = Scene { wait: &evidence.wait, mapping: evidence.mapping.as_ref(), now, at_fork };
    let reading = locks::read(&scene).ok_or(Verdict::Open(Reason::UnknownLock))?;
    let line = holder::line(process, model);
    Ok(Case { task, evidence, process, fork, line, reading })
}

fn finding(
    case: &Case<'_>,
    confidence: Confidence,
    evidence: Vec<Proof>,
    waited_ns: u64,
) -> Finding {
    let Case { task, process, fork, reading, .. } = case;
    let (python, python_missing) = match &case.evidence.python {
        Python::Frames(frames) => (frames.clone(), None),
        Python::None(why) => (Vec::new(), Some(why.clone())),
    };
    let is_python = !python.is_empty();
    let mapping = case.evidence.mapping.as_ref().map(mapping_name).unwrap_or_default();
    Finding {
        kind: Kind::InheritedLock,
        confidence,
        pid: task.pid,
        tid: task.tid,
        comm: task.comm.clone(),
        ppid: process.ppid,
        ns_pid: case.evidence.ns_pid,
        waited_ns,
        lock: Lock {
            address: reading.address,
            futex: case.evidence.wait.uaddr,
            kind: advice::kind_in_words(reading.kind, is_python),
            op: wait_op(case.evidence.wait.op),
            value: reading.value,
            value_at_fork: reading.value_at_fork,
            mapping,
        },
        holder: holder::holder(case),
        fork: Some(ForkSite {
            boot_ns: fork.boot_ns,
            by_pid: fork.by_pid,
            by_tid: fork.by_tid,
            by_comm: fork.by_comm.clone(),
            threads_lost: u32::try_from(fork.lost.len()).unwrap_or(u32::MAX),
            lost: fork.lost.clone(),
        }),
        evidence,
        python,
        python_missing,
        advice: advice::advice(is_python, fork.lost.is_empty()).to_owned(),
    }
}

/// The mapping in a word or two.
fn mapping_name(mapping: &crate::event::Mapping) -> String {
    match mapping.path.as_str() {
        "[heap]" => "heap".into(),
        "" => "anonymous memory".into(),
        path => path.to_owned(),
    }
}

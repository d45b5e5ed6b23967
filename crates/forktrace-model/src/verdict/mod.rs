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
mod late;
mod native;
mod ordinary;
mod orphan;
mod probed;
mod self_deadlock;
mod siblings;
#[cfg(test)]
mod tests;
mod waker;

pub use judge::{Conclusion, Forgotten, Judge, Judged, Outcome};
pub use late::wants_python;

use crate::{
    arch::Machine,
    event::{AtFork, Event, Evidence, Mapping, Place, Python, Task, Window},
    finding::{Finding, ForkSite, Kind, Lock},
    locks::{self, Reading, Scene},
    model::{Fork, Model, Process},
};

use crate::futex_op::wait_op;

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
    /// It is a wait of Python's library for a signal.
    OrdinaryWait,
    /// Nothing proves that the lock was held, and something may still release it.
    Undecided,
    /// The same where the fork was not seen: what would tell is gone.
    TooLate,
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
            Reason::Denied => "something, such as a security module, denies access to the process",
            Reason::UnknownMachine => "the locks of this kind of machine are not known",
            Reason::FreeAtFork => "the lock was free at the fork",
            Reason::OwnerChanged => "the lock has another owner than at the fork",
            Reason::OwnedByChild => "a thread of the child itself owns the lock",
            Reason::WokenSince => "the child has released the lock since the fork",
            Reason::ReleasedHere => {
                "the child has released the lock or made it anew since the fork"
            }
            Reason::OrdinaryWait => "Python waits here for a signal, not for a lock",
            Reason::Undecided => "nothing proves that the lock was held at the fork",
            Reason::TooLate => {
                "the fork was not seen, and nothing tells any more what was held then"
            }
        }
    }
}

/// Everything that the rules may look at.
pub(crate) struct WaitCase<'a> {
    task: &'a Task,
    machine: Machine,
    evidence: &'a Evidence,
    process: &'a Process,
    fork: &'a Fork,
    /// The forks by which the memory came here, see [`holder::line`].
    line: Vec<&'a Fork>,
    reading: Reading,
    /// Nobody holds what is waited for: it is a condition, a barrier, …
    is_event: bool,
    /// How long the wait has lasted, ns.
    waited_ns: u64,
}

impl WaitCase<'_> {
    /// Where the lock is, if that is elsewhere than the futex word.
    fn target(&self) -> Option<&Place> {
        self.evidence.target.as_ref().filter(|place| place.address == self.reading.address)
    }

    /// The mapping that holds the lock.
    fn mapping(&self) -> Option<&Mapping> {
        match self.target() {
            Some(place) => place.mapping.as_ref(),
            None => self.evidence.mapping.as_ref(),
        }
    }

    /// The lock's memory as inherited.
    fn at_fork(&self) -> &AtFork {
        self.target().map_or(&self.evidence.at_fork, |place| &place.at_fork)
    }

    /// How often the child has woken a waiter of this lock; `None`: not known. Waking what the
    /// waiter is parked on says nothing of the lock that it waits for.
    fn wakes_since_fork(&self) -> Option<u64> {
        self.evidence.wakes_since_fork.filter(|_| self.target().is_none())
    }

    /// Whether the child may have woken a waiter of this lock without its having been seen. What is
    /// released while nobody waits wakes nobody: that needs a thread that waits, which the child must
    /// have made, or the mark of one that the parent had.
    fn may_have_woken(&self) -> bool {
        let unseen = self.target().is_none() && self.evidence.wakes_since_fork.is_none();
        let mark = !orphan::nobody_waited(self) && !self.is_marked_since();
        unseen && (self.process.had_threads || mark)
    }

    /// Whether the word had no mark of a waiter at the fork: it is another one now, with the mark of
    /// this wait.
    fn is_marked_since(&self) -> bool {
        self.reading.value_at_fork.is_some_and(|then| then != self.reading.value)
    }
}

/// Judges one look at a wait. `event` is the evidence's event, for its time and task.
pub fn judge(event: &Event, evidence: &Evidence, model: &Model) -> Verdict {
    let Some(task) = event.task.as_ref() else {
        return Verdict::Open(Reason::Unreadable);
    };
    if !model.machine().is_judged() {
        return Verdict::Innocent(Reason::UnknownMachine);
    }
    if let Some(late) = &evidence.late {
        return late::judge(event, task, evidence, late, model);
    }
    let waited_ns = event.boot_ns.saturating_sub(evidence.wait.enter_ns);
    let case = match case(task, evidence, model, waited_ns) {
        Ok(case) => case,
        Err(verdict) => return verdict,
    };
    let (kind, grade) = match graded(&case) {
        Ok(graded) => graded,
        Err(verdict) => return verdict,
    };
    Verdict::Finding(Box::new(finding(&case, kind, grade)))
}

/// What is wrong, and how sure that is.
fn graded(case: &WaitCase<'_>) -> Result<(Kind, grade::Grade), Verdict> {
    let signal = |reason| {
        let grade = waker::grade_signal(case).ok_or(Verdict::Innocent(reason))?;
        Ok((Kind::LostWaker, grade))
    };
    if ordinary::is_ordinary(case.evidence) {
        return signal(Reason::OrdinaryWait);
    }
    if case.is_event {
        let grade = waker::grade(case).ok_or(Verdict::Open(Reason::UnknownLock))?;
        return Ok((Kind::LostWaker, grade));
    }
    if let Some(grade) = self_deadlock::grade(case) {
        return Ok((Kind::SelfDeadlock, grade));
    }
    if let Some(reason) = gates::lock(case) {
        return match reason {
            // What it is shows in Python's frames, which are not read yet.
            Reason::FreeAtFork if case.evidence.native.is_none() => signal(reason),
            _ => Err(Verdict::Innocent(reason)),
        };
    }
    if native::may_wait_for_event(case) {
        return Err(Verdict::Open(Reason::UnknownLock));
    }
    let grade = grade::grade(case).ok_or(Verdict::Open(Reason::Undecided))?;
    Ok((Kind::InheritedLock, grade))
}

/// Collects what the rules need, or says why they cannot be applied.
fn case<'a>(
    task: &'a Task,
    evidence: &'a Evidence,
    model: &'a Model,
    waited_ns: u64,
) -> Result<WaitCase<'a>, Verdict> {
    if let Some(verdict) = gates::any_wait(evidence) {
        return Err(verdict);
    }
    let process = model.live(task.pid).ok_or(Verdict::Open(Reason::NotForked))?;
    let fork = process.inherited().ok_or(Verdict::Innocent(Reason::NotForked))?;
    if fork.boot_ns > evidence.wait.enter_ns {
        return Err(Verdict::Innocent(Reason::NotForked));
    }
    let now = evidence.now.as_ref().ok_or(Verdict::Open(Reason::Unreadable))?;
    let machine = model.machine();
    let scene = scene(machine, evidence, now, evidence.at_fork.known());
    let lock = locks::read(&scene);
    let is_event = lock.is_none();
    let reading =
        lock.or_else(|| locks::read_event(&scene)).ok_or(Verdict::Open(Reason::UnknownLock))?;
    let line = holder::line(process);
    let mut case =
        WaitCase { task, machine, evidence, process, fork, line, reading, is_event, waited_ns };
    orphan::prove_by_release(&mut case);
    Ok(case)
}

/// What decoders get to see of this evidence, with `at_fork` as the other copy of the memory.
fn scene<'a>(
    machine: Machine,
    evidence: &'a Evidence,
    now: &'a Window,
    at_fork: Option<&'a Window>,
) -> Scene<'a> {
    Scene {
        machine,
        wait: &evidence.wait,
        mapping: evidence.mapping.as_ref(),
        now,
        at_fork,
        module: evidence.module.as_ref().map(|module| module.path.as_str()),
        libc: evidence.libc,
        target: evidence.target.as_ref(),
    }
}

fn finding(case: &WaitCase<'_>, kind: Kind, grade: grade::Grade) -> Finding {
    let WaitCase { task, process, fork, reading, waited_ns, .. } = case;
    let grade::Grade { confidence, proofs: evidence } = grade;
    let (python, python_missing) = match &case.evidence.python {
        Python::Frames(frames) => (frames.clone(), None),
        Python::None(why) => (Vec::new(), Some(why.clone())),
    };
    let is_python = !python.is_empty();
    let mapping = mapping_name(case);
    let finding = Finding {
        kind,
        confidence,
        pid: task.pid,
        tid: task.tid,
        comm: task.comm.clone(),
        ppid: process.ppid,
        ns_pid: case.evidence.ns_pid,
        waited_ns: *waited_ns,
        lock: Lock {
            address: reading.address,
            futex: case.evidence.wait.uaddr,
            kind: advice::kind_in_words(reading.family.name, is_python),
            op: wait_op(case.evidence.wait.op),
            value: reading.value,
            value_at_fork: reading.value_at_fork,
            mapping,
            place: None,
        },
        holder: holder::holder(case, kind),
        fork: Some(ForkSite {
            boot_ns: fork.boot_ns,
            by_pid: fork.by_pid,
            by_tid: fork.by_tid,
            by_comm: fork.by_comm.clone(),
            threads_lost: u32::try_from(fork.lost.len()).unwrap_or(u32::MAX),
            lost: fork.lost.clone(),
            stack: Vec::new(),
            stack_cut: None,
        }),
        unseen_fork: None,
        since_before: case.evidence.wait.since_before,
        at_most_ns: None,
        not_before_ns: case.evidence.wait.not_before_ns,
        evidence,
        same_lock_in: Vec::new(),
        python,
        python_missing,
        stack: Vec::new(),
        stack_cut: None,
        candidates: Vec::new(),
        with_at_fork: orphan::with_at_fork(case).filter(|_| kind == Kind::InheritedLock),
        advice: String::new(),
    };
    let finding = native::complete(finding, case);
    Finding { advice: advice::advice(&finding, fork), ..finding }
}

/// Where the lock lies, in a word or two.
fn mapping_name(case: &WaitCase<'_>) -> String {
    let module = case.evidence.module.as_ref().filter(|_| case.target().is_none());
    match (case.mapping().map(|mapping| mapping.path.as_str()), module) {
        (None, _) => String::new(),
        (Some("[heap]"), _) => "heap".into(),
        (Some(""), Some(module)) => module.path.clone(),
        (Some(""), None) => "anonymous memory".into(),
        (Some(path), _) => path.to_owned(),
    }
}

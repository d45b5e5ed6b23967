//! One sample of a wait, with everything that the rules may ask.

use super::{
    completion,
    conclusion::Conclusion,
    exclusions,
    fork::ForkKnowledge,
    holder, known_idle_waits, ownerless,
    wakers::{self, Wakers},
};
use crate::{
    arch::Machine,
    event::{AtFork, Event, Evidence, Mapping, Place, Python, Task, Window},
    finding::{
        Detail, Finding, ForkInfo, HazardId, Held, Lock, LockPlace, Severity, Subject, WaitDetail,
    },
    hazards::{Reason, Verdict, remedies},
    locks::{self, Code, Reading, Scene, State},
    model::{Model, Process},
};

/// One sample of a wait.
pub(crate) struct WaitCase<'a> {
    pub(in crate::hazards) task: &'a Task,
    pub(in crate::hazards) evidence: &'a Evidence,
    pub(in crate::hazards) process: &'a Process,
    pub(in crate::hazards) fork: ForkKnowledge<'a>,
    /// What the bytes around the word say.
    pub(in crate::hazards) reading: Reading,
    /// What sort of thing is waited for.
    pub(in crate::hazards) waited: Waited,
    /// How long the wait has lasted, ns.
    waited_ns: u64,
    model: &'a Model,
    /// When it was sampled, `CLOCK_BOOTTIME`, ns.
    boot_ns: u64,
}

/// What sort of thing is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hazards) enum Waited {
    /// A lock that somebody may hold.
    Lock,
    /// What nobody holds: a condition, a barrier, …
    Event,
    /// Another thread's signal, in a wait of Python's library.
    Signal,
}

impl<'a> WaitCase<'a> {
    /// Collects what the rules need, or says why they cannot be applied.
    ///
    /// # Errors
    /// The verdict on the wait: there is no hazard, or nothing can be said.
    pub(in crate::hazards) fn new(
        event: &Event,
        task: &'a Task,
        evidence: &'a Evidence,
        model: &'a Model,
    ) -> Result<Self, Verdict> {
        if !model.machine().is_judged() {
            return Err(Verdict::Innocent(Reason::UnknownMachine));
        }
        exclusions::of_any_wait(evidence)?;
        let is_signal = known_idle_waits::is_one(evidence);
        let process = model.live(task.pid).ok_or(Verdict::Open(Reason::NotForked))?;
        let mut fork = ForkKnowledge::new(task, evidence, process)?;
        let (reading, is_event) = read(evidence, model.machine()).map_err(Verdict::Open)?;
        fork.complete(task, evidence, &reading, is_event)?;
        let waited = match (is_signal, is_event) {
            (true, _) => Waited::Signal,
            (false, true) => Waited::Event,
            (false, false) => Waited::Lock,
        };
        let boot_ns = event.boot_ns;
        let waited_ns = boot_ns.saturating_sub(evidence.wait.enter_ns);
        let mut case =
            WaitCase { task, evidence, process, fork, reading, waited, waited_ns, model, boot_ns };
        if !case.fork.is_unobserved() {
            ownerless::prove_by_release(&mut case);
        }
        Ok(case)
    }

    /// Where the lock is, if that is elsewhere than the futex word.
    pub(super) fn target(&self) -> Option<&'a Place> {
        self.evidence.target.as_ref().filter(|place| place.address == self.reading.address)
    }

    /// The mapping that holds the lock.
    pub(super) fn mapping(&self) -> Option<&'a Mapping> {
        match self.target() {
            Some(place) => place.mapping.as_ref(),
            None => self.evidence.mapping.as_ref(),
        }
    }

    /// The lock's memory as inherited.
    pub(super) fn at_fork(&self) -> &'a AtFork {
        self.target().map_or(&self.evidence.at_fork, |place| &place.at_fork)
    }

    /// How often the child has woken a waiter of this lock; `None`: not known. Waking what the
    /// waiter is parked on says nothing of the lock that it waits for.
    pub(super) fn wakes_since_fork(&self) -> Option<u64> {
        self.evidence.wakes_since_fork.filter(|_| self.target().is_none())
    }

    /// Whether the word belongs to an object of Python.
    pub(super) fn is_of_python(&self) -> bool {
        let parked = self.evidence.target.as_ref().and_then(|place| place.python_type.as_ref());
        parked.is_some() || self.evidence.python_lock.is_some()
    }

    /// Whether the waiter can never run again, if only `wakers` could end its wait.
    pub(super) fn is_stuck(&self, wakers: &Wakers) -> bool {
        !wakers::can_run(self.task.tid, wakers, &self.evidence.threads)
    }

    /// Whether an owner field names a thread of the child, by the child's own numbering.
    pub(super) fn is_own_thread(&self, owner: u32) -> bool {
        let mut threads = self.evidence.threads.iter();
        threads.any(|thread| thread.ns_tid.unwrap_or(thread.tid) == owner)
    }

    /// The lock's owner now, by the number in it, if it names one.
    pub(super) fn owner_now(&self) -> Option<u32> {
        match self.reading.now {
            State::Held { owner } => owner,
            _ => None,
        }
    }

    /// Whether events were lost, and the process was made after the trace began: its fork may have
    /// been among them.
    pub(super) fn lost_since_start(&self, start_ns: u64) -> bool {
        self.model.counts().lost > 0 && start_ns > self.model.span_ns().0
    }

    /// The machine that it was on.
    pub(super) fn machine(&self) -> Machine {
        self.model.machine()
    }

    /// The finding of this case.
    pub(in crate::hazards) fn finding(
        &self,
        hazard: HazardId,
        held: Held,
        conclusion: Conclusion,
    ) -> Verdict {
        let evidence = self.evidence;
        let (python, python_missing) = match &evidence.python {
            Python::Frames(frames) => (frames.clone(), None),
            Python::None(why) => (Vec::new(), Some(why.clone())),
        };
        let family = self.reading.family.in_language(!python.is_empty());
        let wait = WaitDetail {
            waited_ns: self.waited_ns,
            since_before: evidence.wait.since_before,
            at_most_ns: self.fork.at_most_ns(evidence, self.boot_ns),
            not_before_ns: evidence.wait.not_before_ns,
            lock: Lock {
                address: self.reading.address,
                futex: evidence.wait.uaddr,
                family,
                op: evidence.wait.op,
                value: self.reading.value,
                value_at_fork: self.reading.value_at_fork,
                mapping: self.lock_place(),
                place: None,
            },
            held,
            holder: holder::holder(self, held),
            python,
            python_missing,
            stack: Vec::new(),
            stack_cut: None,
            candidates: Vec::new(),
            with_at_fork: ownerless::with_at_fork(self).filter(|_| held == Held::SinceFork),
        };
        let mut finding = Finding {
            hazard,
            severity: Severity::Hang,
            confidence: conclusion.confidence,
            subject: Subject {
                pid: self.task.pid,
                tid: self.task.tid,
                comm: self.task.comm.clone(),
                ppid: self.process.ppid,
                ns_pid: evidence.ns_pid,
            },
            fork: ForkInfo::None,
            proofs: conclusion.proofs,
            same_fault_in: Vec::new(),
            waited_by: evidence.waited_by.clone(),
            detail: Detail::Wait(Box::new(wait)),
            remedy: None,
        };
        completion::complete(&mut finding, self);
        finding.remedy = remedies::of(&finding, self.fork.site());
        self.fork.describe(&mut finding, self);
        Verdict::Finding(Box::new(finding))
    }

    fn lock_place(&self) -> LockPlace {
        let module = self.evidence.module.as_ref().filter(|_| self.target().is_none());
        match (self.mapping().map(|mapping| mapping.path.as_str()), module) {
            (None, _) => LockPlace::Unknown,
            (Some("[heap]"), _) => LockPlace::Heap,
            (Some(""), Some(module)) => LockPlace::Named(module.path.clone()),
            (Some(""), None) => LockPlace::Anonymous,
            (Some(path), _) => LockPlace::Named(path.to_owned()),
        }
    }
}

/// The lock's owner, if that is the waiter itself and it took the lock after the fork.
pub(in crate::hazards) fn self_owned(case: &WaitCase<'_>) -> Option<u32> {
    let owner = case.owner_now()?;
    let waiter = case.evidence.threads.iter().find(|thread| thread.tid == case.task.tid)?;
    if waiter.ns_tid.unwrap_or(waiter.tid) != owner {
        return None;
    }
    // Held by that number before the waiter was born: a thread of the parent had it, that is gone,
    // or that has this number in another pid namespace.
    match case.reading.at_fork {
        State::Held { owner: Some(then) } if then == owner => None,
        State::Unknown if case.evidence.ns_pid.is_some() => None,
        _ => Some(owner),
    }
}

/// Whether the frames of Python's threads may tell more of this sample than it has. Where a finding is
/// made of it they are read in any case.
pub fn wants_python(evidence: &Evidence, machine: Machine) -> bool {
    let of_python = evidence.target.as_ref().is_some_and(|place| place.python_type.is_some());
    evidence.late.is_some()
        && exclusions::of_any_wait(evidence).is_ok()
        && !known_idle_waits::is_one(evidence)
        && read(evidence, machine)
            .is_ok_and(|(reading, _)| reading.family.anyone_may_release || of_python)
}

/// Whether the waiter's stack would tell what is waited for.
pub fn wants_stack(evidence: &Evidence, machine: Machine) -> bool {
    let Some(now) = &evidence.now else { return false };
    let scene = scene(machine, evidence, now, evidence.at_fork.known());
    exclusions::of_any_wait(evidence).is_ok() && locks::depends_on_code(&scene)
}

/// What is waited for, and whether that is something which nobody holds.
fn read(evidence: &Evidence, machine: Machine) -> Result<(Reading, bool), Reason> {
    let now = evidence.now.as_ref().ok_or(Reason::Unreadable)?;
    let scene = scene(machine, evidence, now, evidence.at_fork.known());
    if let Some(reading) = locks::read(&scene) {
        return Ok((reading, false));
    }
    let reading = locks::read_event(&scene).or_else(|| locks::read_word(&scene));
    Ok((reading.ok_or(Reason::UnknownLock)?, true))
}

/// What decoders get to see of this evidence, with `at_fork` as the other copy of the memory.
pub(super) fn scene<'a>(
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
        code: Code {
            frames: evidence.native.as_ref().map(|native| native.stack.frames.as_slice()),
            first_write: evidence.first_writes.child.as_ref(),
            waiters: &evidence.waiters,
        },
    }
}

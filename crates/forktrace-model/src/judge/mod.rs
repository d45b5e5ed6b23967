//! The judge's memory: what has been judged, and what became of it.

mod forgotten;
mod same_fault;
mod shared;
#[cfg(test)]
mod tests;
mod unjudged;

use std::hash::Hasher as _;

use rustc_hash::{FxHashMap, FxHashSet, FxHasher};

use crate::{
    event::{Body, Ended, Event, Unjudged},
    finding::{Confidence, Finding, HazardId, Key, Severity},
    hazards::{self, Reason, Verdict},
    model::{Model, ProcId},
};
pub use forgotten::Forgotten;
use same_fault::SameFault;
use shared::Shared;
pub use unjudged::Unaccounted;
use unjudged::{ENDING_NS, Silences};

/// What a finding, or a wait without one, is about, by process.
type Subjects<T> = FxHashMap<ProcId, FxHashMap<Key, T>>;

/// How many findings are kept, at most; of older ones whose wait is over only the number is.
const KEPT: usize = 1_000;
/// How many more may gather until some are forgotten.
const BATCH: usize = 250;

/// What one event meant to the judge.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A new finding, or a stronger one about a wait already reported.
    Found(Finding),
    /// A wait about which there was a finding has ended after all, after this many ns.
    Ended {
        /// The finding.
        finding: Finding,
        /// How long the wait lasted, ns.
        waited_ns: u64,
    },
    /// Evidence that led to no finding.
    Silent(Reason),
}

/// A finding and what became of its wait.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The finding in its strongest form; once its wait is over, without what only its block tells.
    pub finding: Finding,
    /// The process that it is about.
    pub process: ProcId,
    /// Since when the task waits, as far as that is known, `CLOCK_BOOTTIME`, ns.
    pub since_ns: u64,
    /// How long the wait lasted, ns, if it ended after all; `None`: it did not, or its process did in it.
    pub ended_after_ns: Option<u64>,
}

/// Judges evidence and keeps the findings of a trace.
#[derive(Debug, Default)]
pub struct Judge {
    findings: Vec<Judged>,
    forgotten: Forgotten,
    /// How many findings were left when the oldest were last forgotten.
    left: usize,
    same_fault: SameFault,
    open: Subjects<Open>,
    /// Waits that go on without a finding, and why there is none.
    silences: Silences,
    /// Findings whose thread has ended a moment ago.
    leaving: Vec<Leaving>,
    shared: Shared,
    keep_evidence: bool,
    /// Forks beside other threads are findings.
    audit: bool,
    /// The forks that are findings: by the process that forked, and where.
    audited: FxHashSet<(u32, u64)>,
}

/// A finding whose thread has ended: its wait is over, unless the whole process is ending.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    /// When the thread ended, `CLOCK_BOOTTIME`, ns.
    boot_ns: u64,
    process: ProcId,
    key: Key,
}

/// What the latest evidence about a wait has led to. `settled`: more evidence can tell nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// To a finding.
    Finding {
        /// It is as sure as it can become.
        settled: bool,
        /// It is likely, or more.
        likely: bool,
    },
    /// To none.
    Nothing {
        /// The wait is none of ours.
        settled: bool,
    },
}

/// A finding that nothing has resolved.
#[derive(Debug)]
struct Open {
    /// Its place among the findings.
    index: usize,
    /// What it was concluded from, where that is kept.
    evidence: Option<Event>,
}

impl Judge {
    /// Keeps what the open findings were concluded from, for a log that goes on in a new file.
    pub fn keep_evidence(&mut self) {
        self.keep_evidence = true;
    }

    /// Makes forks beside other threads findings.
    pub fn set_audit(&mut self, audit: bool) {
        self.audit = audit;
    }

    /// The finding that is only made where it is asked for, if it is the first about its place: a server that
    /// forks a hundred workers at one line has one danger.
    fn audited(&mut self, event: &Event, model: &Model, process: ProcId) -> Option<Outcome> {
        let finding = hazards::audit(event, model).filter(|_| self.audit)?;
        let mut site = FxHasher::default();
        for frame in finding.fork_site().iter().flat_map(|fork| &fork.stack) {
            site.write_u64(frame.address);
        }
        let place = (finding.forked_by().unwrap_or(0), site.finish());
        let is_first = self.audited.len() < KEPT && self.audited.insert(place);
        is_first.then(|| self.found(process, finding, event.boot_ns, None)).flatten()
    }

    /// What the open findings were concluded from, where it was kept, in the order of its time.
    pub fn open_evidence(&self) -> Vec<&Event> {
        let open = self.open.values().flat_map(FxHashMap::values);
        let mut events: Vec<&Event> = open.filter_map(|open| open.evidence.as_ref()).collect();
        events.sort_by_key(|event| event.boot_ns);
        events
    }

    /// A process has ended at `boot_ns` (`CLOCK_BOOTTIME`, ns): none of its waits goes on. `how`: as far as
    /// that is known.
    pub fn ended(&mut self, process: ProcId, boot_ns: u64, how: Option<Ended>) {
        let hung = self.is_hung(process);
        for open in self.open.remove(&process).into_iter().flat_map(FxHashMap::into_values) {
            if let Some(judged) = self.findings.get_mut(open.index) {
                judged.finding.drop_details();
            }
        }
        self.leaving.retain(|left| left.process != process);
        self.silences.ended(process, boot_ns, how, hung);
    }

    /// Takes one event into account, after `model` has.
    pub fn apply(&mut self, event: &Event, model: &Model) -> Option<Outcome> {
        self.settle_leaving(event.boot_ns);
        let task = event.task.as_ref()?;
        if let Body::WaitUnjudged(wait) = &event.body {
            self.silences.told(model.live(task.pid).map(|process| process.id), task, wait);
            return None;
        }
        let process = model.live(task.pid)?.id;
        match &event.body {
            Body::ThreadExit(exit) => {
                self.thread_ended(process, task.tid, event.boot_ns, exit.ended);
            }
            Body::ProcessExec(_) => self.silences.execed(process),
            Body::Stall(stall) => {
                let found = matches!(hazards::judge(event, model), Verdict::Finding(_));
                self.silences.stall(process, (task.pid, found), event, stall);
            }
            _ => {}
        }
        let resolved =
            hazards::resolved_by(event).map(|key| self.resolved(process, key, event.boot_ns));
        match (resolved, &event.body) {
            // It also tells of the threads that go on.
            (Some(None), Body::Stall(_)) | (None, _) => {}
            (Some(outcome), _) => return outcome,
        }
        match hazards::judge(event, model) {
            Verdict::Finding(finding) => {
                let process = self.shared.subject(process, &finding, model)?;
                let kept = self.keep_evidence.then(|| event.clone());
                self.found(process, *finding, since_ns(event), kept)
            }
            Verdict::Innocent(reason) => self.silent(event, process, reason, true),
            Verdict::Open(reason) => self.silent(event, process, reason, false),
            Verdict::Unrelated => self.audited(event, model, process),
        }
    }

    fn thread_ended(&mut self, process: ProcId, tid: u32, boot_ns: u64, how: Option<Ended>) {
        self.silences.thread_ended(process, tid, boot_ns, how);
        let open = self.open.get(&process).into_iter().flatten();
        let is_its = |open: &Open| {
            self.findings.get(open.index).is_some_and(|judged| judged.finding.subject.tid == tid)
        };
        let its = open.filter(|(_, open)| is_its(open));
        self.leaving.extend(its.map(|(key, _)| Leaving { boot_ns, process, key: *key }));
    }

    /// A finding is over if its process lives on after its thread has ended.
    fn settle_leaving(&mut self, now_ns: u64) {
        let is_over = |left: &Leaving| now_ns.saturating_sub(left.boot_ns) > ENDING_NS;
        let (over, rest) = std::mem::take(&mut self.leaving).into_iter().partition(is_over);
        self.leaving = rest;
        let over: Vec<Leaving> = over;
        for Leaving { boot_ns, process, key } in over {
            self.resolved(process, key, boot_ns);
        }
    }

    /// A wait led to no finding.
    fn silent(
        &mut self,
        event: &Event,
        process: ProcId,
        reason: Reason,
        settled: bool,
    ) -> Option<Outcome> {
        let task = event.task.as_ref()?;
        if let Body::Evidence(evidence) = &event.body {
            let key = Key::of_wait(task.tid, evidence.wait.uaddr);
            self.silences.add(process, key, (event, evidence), reason, settled);
        }
        Some(Outcome::Silent(reason))
    }

    /// What a finding, or a wait without one, was about is over.
    fn resolved(&mut self, process: ProcId, key: Key, now_ns: u64) -> Option<Outcome> {
        self.silences.remove(process, key);
        let index = self.open.get_mut(&process)?.remove(&key)?.index;
        let judged = self.findings.get_mut(index)?;
        let waited_ns = now_ns.saturating_sub(judged.since_ns);
        judged.ended_after_ns = Some(waited_ns);
        self.same_fault.remove(&judged.finding);
        let finding = judged.finding.clone();
        judged.finding.drop_details();
        Some(Outcome::Ended { finding, waited_ns })
    }

    /// Whether an open finding says that a process hangs.
    fn is_hung(&self, process: ProcId) -> bool {
        self.open.get(&process).is_some_and(|open| {
            let mut open = open.values().filter_map(|open| self.findings.get(open.index));
            open.any(Judged::is_hang)
        })
    }

    fn found(
        &mut self,
        process: ProcId,
        mut finding: Finding,
        since_ns: u64,
        evidence: Option<Event>,
    ) -> Option<Outcome> {
        let key = finding.key();
        self.silences.remove(process, key);
        let told = hazards::is_told_by_a_hang(&finding) && self.is_hung(process);
        if told || !self.take_place(process, &finding) {
            return None;
        }
        finding.same_fault_in = self.same_fault.of(&finding);
        let open = self.open.entry(process).or_default();
        if let Some(open) = open.get_mut(&key)
            && let Some(known) = self.findings.get_mut(open.index)
        {
            if known.finding.confidence >= finding.confidence {
                return None;
            }
            self.same_fault.remove(&known.finding);
            self.same_fault.add(&finding);
            known.finding = finding.clone();
            open.evidence = evidence;
        } else {
            open.insert(key, Open { index: self.findings.len(), evidence });
            self.same_fault.add(&finding);
            let finding = finding.clone();
            self.findings.push(Judged { finding, process, since_ns, ended_after_ns: None });
        }
        Some(Outcome::Found(finding))
    }

    /// Makes room for a finding: of a process that hangs there are findings about single waits, which say
    /// why, or one about who waits for whom, where that is surer and the other one would be hidden. False: what
    /// is known already stays.
    fn take_place(&mut self, process: ProcId, finding: &Finding) -> bool {
        let of_stall = finding.stall().is_some();
        let (Some(open), true) = (self.open.get(&process), of_stall || finding.wait().is_some())
        else {
            return true;
        };
        let other_view = |open: &Open| {
            let known = &self.findings.get(open.index)?.finding;
            let other = if of_stall { known.wait().is_some() } else { known.stall().is_some() };
            other.then_some(known.confidence)
        };
        let others: Vec<(Key, Confidence)> =
            open.iter().filter_map(|(key, open)| Some((*key, other_view(open)?))).collect();
        let stays = |known: Confidence| match of_stall {
            true => known >= finding.confidence.min(Confidence::Likely),
            false => known > finding.confidence,
        };
        if others.iter().any(|(_, known)| stays(*known)) {
            return false;
        }
        for (key, _) in others {
            self.drop_finding(process, key);
        }
        true
    }

    /// Drops a finding in whose place another one stands.
    fn drop_finding(&mut self, process: ProcId, key: Key) {
        let Some(open) = self.open.get_mut(&process).and_then(|open| open.remove(&key)) else {
            return;
        };
        if open.index >= self.findings.len() {
            return;
        }
        let judged = self.findings.remove(open.index);
        self.same_fault.remove(&judged.finding);
        for other in self.open.values_mut().flat_map(FxHashMap::values_mut) {
            if other.index > open.index {
                other.index -= 1;
            }
        }
    }

    /// Whether there is a finding about this wait, (tid, address of the word), and it goes on.
    pub fn is_open(&self, process: ProcId, (tid, uaddr): (u32, u64)) -> bool {
        let key = Key::of_wait(tid, uaddr);
        self.open.get(&process).is_some_and(|open| open.contains_key(&key))
    }

    /// What the latest evidence about a wait, (tid, address of the word), has led to; `None`: there was
    /// none, or its process has ended.
    pub fn conclusion(&self, process: ProcId, (tid, uaddr): (u32, u64)) -> Option<Conclusion> {
        let key = Key::of_wait(tid, uaddr);
        if let Some(silence) = self.silences.get(process, key) {
            return Some(Conclusion::Nothing { settled: silence.settled });
        }
        let open = self.open.get(&process)?.get(&key)?;
        let finding = &self.findings.get(open.index)?.finding;
        // Without having seen the fork, what was held then is never more than likely.
        let most = match finding.unobserved_fork() {
            Some(_) if finding.hazard != HazardId::LostWaker => Confidence::Likely,
            _ => Confidence::Certain,
        };
        let confidence = finding.confidence;
        let likely = confidence >= Confidence::Likely;
        Some(Conclusion::Finding { settled: confidence >= most, likely })
    }

    /// The findings that are kept, in the order of their discovery.
    pub fn findings(&self) -> &[Judged] {
        &self.findings
    }

    /// How many findings there were besides.
    pub fn forgotten(&self) -> Forgotten {
        self.forgotten
    }

    /// Forgets the oldest findings whose wait is over, if there are too many. Returns the processes that
    /// no finding is about any more.
    pub fn forget(&mut self) -> Vec<ProcId> {
        match self.findings.len() >= self.left.max(KEPT) + BATCH {
            true => self.forget_to(KEPT),
            false => Vec::new(),
        }
    }

    /// The same, until `kept` are left or only those whose wait goes on.
    pub(crate) fn forget_to(&mut self, kept: usize) -> Vec<ProcId> {
        let open: FxHashSet<usize> =
            self.open.values().flat_map(FxHashMap::values).map(|open| open.index).collect();
        let mut excess = self.findings.len().saturating_sub(kept);
        let (mut rest, mut gone) = (Vec::with_capacity(self.findings.len()), Vec::new());
        let mut places = FxHashMap::default();
        for (place, judged) in std::mem::take(&mut self.findings).into_iter().enumerate() {
            if excess > 0 && !open.contains(&place) {
                excess -= 1;
                self.forgotten.add(&judged);
                if judged.ended_after_ns.is_none() {
                    self.same_fault.remove(&judged.finding);
                }
                gone.push(judged.process);
            } else {
                places.insert(place, rest.len());
                rest.push(judged);
            }
        }
        self.left = rest.len();
        self.findings = rest;
        for open in self.open.values_mut().flat_map(FxHashMap::values_mut) {
            open.index = places.get(&open.index).copied().unwrap_or(usize::MAX);
        }
        let still: FxHashSet<ProcId> = self.findings.iter().map(|judged| judged.process).collect();
        gone.retain(|process| !still.contains(process));
        gone
    }

    /// The waits of forked children that are not accounted for: they go on, or went on until their
    /// process ended, and nothing can be said about them. The longest first, and how many of each sort
    /// there are: of very many not all are kept.
    pub fn unaccounted(&self, model: &Model) -> (Vec<Unaccounted>, FxHashMap<Unjudged, u64>) {
        let hangs = self.findings.iter().filter(|judged| judged.is_hang());
        let hung = hangs.map(|judged| judged.process).collect();
        self.silences.unaccounted(model, &hung)
    }

    /// How many waits the log tells by name that the tracer alone knew of: no evidence of them was read.
    pub fn told_by_tracer(&self) -> u64 {
        self.silences.told_by_tracer()
    }

    /// How many threads wait without a timeout, and something that can run could end that.
    pub fn harmless(&self) -> u64 {
        self.silences.harmless()
    }

    /// Whether a child hangs: there is a finding of severity hang, likely or certain, and its wait has
    /// not ended, or had not when its process did.
    pub fn hangs(&self) -> bool {
        self.forgotten.hung > 0 || self.findings.iter().any(Judged::is_hang)
    }

    /// Whether something was found that is neither a hang for sure nor none: a suspect, or what looked
    /// like a hang and went on after all.
    pub fn doubts(&self) -> bool {
        self.forgotten.doubts > 0 || self.findings.iter().any(Judged::is_doubt)
    }
}

impl Judged {
    /// Whether it says that a child hangs, see [`Judge::hangs`].
    pub fn is_hang(&self) -> bool {
        let finding = &self.finding;
        finding.severity == Severity::Hang
            && finding.confidence >= Confidence::Likely
            && self.ended_after_ns.is_none()
    }

    /// Whether it is a doubt, see [`Judge::doubts`].
    fn is_doubt(&self) -> bool {
        // Others say nothing of hangs.
        if self.finding.severity != Severity::Hang {
            return false;
        }
        match self.finding.confidence {
            Confidence::Suspect => self.ended_after_ns.is_none(),
            Confidence::Certain | Confidence::Likely => !self.is_hang(),
        }
    }
}

/// Since when what an event is about lasts, `CLOCK_BOOTTIME`, ns.
fn since_ns(event: &Event) -> u64 {
    match &event.body {
        Body::Evidence(evidence) => evidence.wait.enter_ns,
        _ => event.boot_ns,
    }
}

//! The judge's memory: what has been judged, and what became of it.

mod same_fault;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    event::{Body, Event},
    finding::{Confidence, Finding, HazardId, Key},
    hazards::{self, Reason, Verdict},
    model::{Model, ProcId},
};
use same_fault::SameFault;

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
    /// Since when the task waits, `CLOCK_BOOTTIME`, ns; of a wait that is older than the trace, since
    /// when that is known.
    pub since_ns: u64,
    /// How long the wait lasted, ns, if it ended after all. `None`: it did not, or its process was
    /// killed in it.
    pub ended_after_ns: Option<u64>,
}

/// Findings that are no longer kept: how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Those that were certain.
    pub certain: u64,
    /// Those that were likely.
    pub likely: u64,
    /// Those that were suspects.
    pub suspect: u64,
}

impl Forgotten {
    /// How many of one confidence.
    pub fn of(self, confidence: Confidence) -> u64 {
        match confidence {
            Confidence::Certain => self.certain,
            Confidence::Likely => self.likely,
            Confidence::Suspect => self.suspect,
        }
    }

    fn add(&mut self, confidence: Confidence) {
        match confidence {
            Confidence::Certain => self.certain += 1,
            Confidence::Likely => self.likely += 1,
            Confidence::Suspect => self.suspect += 1,
        }
    }
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
    unjudged: Subjects<Silence>,
    /// How many these are, with those of processes that have ended since.
    unjudged_counts: FxHashMap<Reason, u64>,
    keep_evidence: bool,
}

/// Why there is no finding about a wait, and whether more evidence could change that.
#[derive(Clone, Copy, Debug)]
struct Silence {
    reason: Reason,
    settled: bool,
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

    /// What the open findings were concluded from, where it was kept, in the order of its time.
    pub fn open_evidence(&self) -> Vec<&Event> {
        let open = self.open.values().flat_map(FxHashMap::values);
        let mut events: Vec<&Event> = open.filter_map(|open| open.evidence.as_ref()).collect();
        events.sort_by_key(|event| event.boot_ns);
        events
    }

    /// A process has ended: none of its waits goes on.
    pub fn ended(&mut self, process: ProcId) {
        for open in self.open.remove(&process).into_iter().flat_map(FxHashMap::into_values) {
            if let Some(judged) = self.findings.get_mut(open.index) {
                judged.finding.drop_details();
            }
        }
        self.unjudged.remove(&process);
    }

    /// Takes one event into account, after `model` has.
    pub fn apply(&mut self, event: &Event, model: &Model) -> Option<Outcome> {
        let task = event.task.as_ref()?;
        let process = model.live(task.pid)?.id;
        if let Some(key) = hazards::resolved_by(event) {
            return self.resolved(process, key, event.boot_ns);
        }
        match hazards::judge(event, model) {
            Verdict::Finding(finding) => {
                let kept = self.keep_evidence.then(|| event.clone());
                self.found(process, *finding, since_ns(event), kept)
            }
            Verdict::Innocent(reason) => self.silent(event, process, reason, true),
            Verdict::Open(reason) => self.silent(event, process, reason, false),
            Verdict::Unrelated => None,
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
        let (Body::Evidence(evidence), Some(task)) = (&event.body, &event.task) else {
            return None;
        };
        let key = Key::of_wait(task.tid, evidence.wait.uaddr);
        let silence = Silence { reason, settled };
        let before = self.unjudged.entry(process).or_default().insert(key, silence);
        self.uncount(before);
        *self.unjudged_counts.entry(reason).or_default() += 1;
        Some(Outcome::Silent(reason))
    }

    /// What a finding, or a wait without one, was about is over.
    fn resolved(&mut self, process: ProcId, key: Key, now_ns: u64) -> Option<Outcome> {
        self.is_judged(process, key);
        let index = self.open.get_mut(&process)?.remove(&key)?.index;
        let judged = self.findings.get_mut(index)?;
        let waited_ns = now_ns.saturating_sub(judged.since_ns);
        judged.ended_after_ns = Some(waited_ns);
        self.same_fault.remove(&judged.finding);
        let finding = judged.finding.clone();
        judged.finding.drop_details();
        Some(Outcome::Ended { finding, waited_ns })
    }

    fn found(
        &mut self,
        process: ProcId,
        mut finding: Finding,
        since_ns: u64,
        evidence: Option<Event>,
    ) -> Option<Outcome> {
        let key = finding.key();
        self.is_judged(process, key);
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

    /// A wait has ended, or there is a finding about it after all.
    fn is_judged(&mut self, process: ProcId, key: Key) {
        let before = self.unjudged.get_mut(&process).and_then(|waits| waits.remove(&key));
        self.uncount(before);
    }

    fn uncount(&mut self, silence: Option<Silence>) {
        let count = silence.and_then(|silence| self.unjudged_counts.get_mut(&silence.reason));
        if let Some(count) = count {
            *count = count.saturating_sub(1);
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
        let silence = self.unjudged.get(&process).and_then(|waits| waits.get(&key));
        if let Some(Silence { settled, .. }) = silence {
            return Some(Conclusion::Nothing { settled: *settled });
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
                self.forgotten.add(judged.finding.confidence);
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

    /// How many waits of forked children go on, or went on until their process ended, without a
    /// finding for this reason.
    pub fn unjudged(&self, reason: Reason) -> u64 {
        self.unjudged_counts.get(&reason).copied().unwrap_or(0)
    }
}

/// Since when what an event is about lasts, `CLOCK_BOOTTIME`, ns.
fn since_ns(event: &Event) -> u64 {
    match &event.body {
        Body::Evidence(evidence) => evidence.wait.enter_ns,
        _ => event.boot_ns,
    }
}

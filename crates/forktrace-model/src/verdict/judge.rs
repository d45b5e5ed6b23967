//! The judge's memory: which waits have been judged, and what became of them.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Reason, Verdict, judge, siblings::Siblings};
use crate::{
    event::{Body, Event},
    finding::{Confidence, Finding},
    model::{Model, ProcId},
};

/// What a finding is about, by process: one thread on one futex word. Not one system call: a signal
/// may interrupt the wait, and the thread goes back to it.
type Waits<T> = FxHashMap<ProcId, FxHashMap<(u32, u64), T>>;

/// `EINTR`, the result of a wait that a signal interrupted.
const INTERRUPTED: i64 = -4;

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
    siblings: Siblings,
    open: Waits<Open>,
    /// Waits that go on without a finding, and why there is none.
    unjudged: Waits<Silence>,
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
    },
    /// To none.
    Nothing {
        /// The wait is none of ours.
        settled: bool,
    },
}

/// A finding whose wait goes on.
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
        match &event.body {
            Body::Evidence(evidence) => {
                let wait = (task.tid, evidence.wait.uaddr);
                let silence = match judge(event, evidence, model) {
                    Verdict::Finding(finding) => {
                        let kept = self.keep_evidence.then(|| event.clone());
                        return self.found((process, wait), *finding, evidence.wait.enter_ns, kept);
                    }
                    Verdict::Innocent(reason) => Silence { reason, settled: true },
                    Verdict::Open(reason) => Silence { reason, settled: false },
                };
                let before = self.unjudged.entry(process).or_default().insert(wait, silence);
                self.uncount(before);
                *self.unjudged_counts.entry(silence.reason).or_default() += 1;
                Some(Outcome::Silent(silence.reason))
            }
            Body::FutexWait(wait) if !wait.goes_on() && wait.result != Some(INTERRUPTED) => {
                let subject = (task.tid, wait.wait.uaddr);
                self.is_judged(process, subject);
                let index = self.open.get_mut(&process)?.remove(&subject)?.index;
                let judged = self.findings.get_mut(index)?;
                let waited_ns = event.boot_ns.saturating_sub(wait.wait.enter_ns);
                judged.ended_after_ns = Some(waited_ns);
                self.siblings.remove(&judged.finding);
                let finding = judged.finding.clone();
                judged.finding.drop_details();
                Some(Outcome::Ended { finding, waited_ns })
            }
            _ => None,
        }
    }

    fn found(
        &mut self,
        (process, wait): (ProcId, (u32, u64)),
        mut finding: Finding,
        since_ns: u64,
        evidence: Option<Event>,
    ) -> Option<Outcome> {
        self.is_judged(process, wait);
        finding.same_lock_in = self.siblings.of(&finding);
        let open = self.open.entry(process).or_default();
        if let Some(open) = open.get_mut(&wait)
            && let Some(known) = self.findings.get_mut(open.index)
        {
            if known.finding.confidence >= finding.confidence {
                return None;
            }
            self.siblings.remove(&known.finding);
            self.siblings.add(&finding);
            known.finding = finding.clone();
            open.evidence = evidence;
        } else {
            open.insert(wait, Open { index: self.findings.len(), evidence });
            self.siblings.add(&finding);
            let finding = finding.clone();
            self.findings.push(Judged { finding, process, since_ns, ended_after_ns: None });
        }
        Some(Outcome::Found(finding))
    }

    /// A wait has ended, or there is a finding about it after all.
    fn is_judged(&mut self, process: ProcId, wait: (u32, u64)) {
        let before = self.unjudged.get_mut(&process).and_then(|waits| waits.remove(&wait));
        self.uncount(before);
    }

    fn uncount(&mut self, silence: Option<Silence>) {
        let count = silence.and_then(|silence| self.unjudged_counts.get_mut(&silence.reason));
        if let Some(count) = count {
            *count = count.saturating_sub(1);
        }
    }

    /// Whether there is a finding about this wait, (tid, address of the word), and it goes on.
    pub fn is_open(&self, process: ProcId, wait: (u32, u64)) -> bool {
        self.open.get(&process).is_some_and(|open| open.contains_key(&wait))
    }

    /// What the latest evidence about a wait, (tid, address of the word), has led to; `None`: there was
    /// none, or its process has ended.
    pub fn conclusion(&self, process: ProcId, wait: (u32, u64)) -> Option<Conclusion> {
        let silence = self.unjudged.get(&process).and_then(|waits| waits.get(&wait));
        if let Some(Silence { settled, .. }) = silence {
            return Some(Conclusion::Nothing { settled: *settled });
        }
        let open = self.open.get(&process)?.get(&wait)?;
        let finding = &self.findings.get(open.index)?.finding;
        // Without having seen the fork nothing is more than likely.
        let most = match finding.unseen_fork {
            Some(_) => Confidence::Likely,
            None => Confidence::Certain,
        };
        Some(Conclusion::Finding { settled: finding.confidence >= most })
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
    pub(super) fn forget_to(&mut self, kept: usize) -> Vec<ProcId> {
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
                    self.siblings.remove(&judged.finding);
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

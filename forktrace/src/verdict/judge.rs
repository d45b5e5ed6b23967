//! The judge's memory: which waits have been judged, and what became of them.

use rustc_hash::FxHashMap;

use super::{Reason, Verdict, judge, siblings};
use crate::{
    event::{Body, Event},
    finding::Finding,
    model::{Model, ProcId},
};

/// What a finding is about: one thread of one process on one futex word. Not one system call: a
/// signal may interrupt the wait, and the thread goes back to it.
type Subject = (ProcId, u32, u64);

/// `EINTR`, the result of a wait that a signal interrupted.
const INTERRUPTED: i64 = -4;

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
    /// The finding in its strongest form.
    pub finding: Finding,
    /// How long the wait lasted, ns, if it ended after all. `None`: it did not, or its process was
    /// killed in it.
    pub ended_after_ns: Option<u64>,
}

/// Judges evidence and keeps the findings of a trace.
#[derive(Debug, Default)]
pub struct Judge {
    findings: Vec<Judged>,
    open: FxHashMap<Subject, usize>,
    /// Waits that go on without a finding, and why there is none.
    unjudged: FxHashMap<Subject, Reason>,
}

impl Judge {
    /// Takes one event into account, after `model` has.
    pub fn apply(&mut self, event: &Event, model: &Model) -> Option<Outcome> {
        let task = event.task.as_ref()?;
        let process = model.live(task.pid)?.id;
        match &event.body {
            Body::Evidence(evidence) => match judge(event, evidence, model) {
                Verdict::Finding(finding) => {
                    self.found((process, task.tid, evidence.wait.uaddr), *finding)
                }
                Verdict::Innocent(reason) | Verdict::Open(reason) => {
                    self.unjudged.insert((process, task.tid, evidence.wait.uaddr), reason);
                    Some(Outcome::Silent(reason))
                }
            },
            Body::FutexWait(wait) if !wait.goes_on() && wait.result != Some(INTERRUPTED) => {
                let subject = (process, task.tid, wait.wait.uaddr);
                self.unjudged.remove(&subject);
                let index = self.open.remove(&subject)?;
                let judged = self.findings.get_mut(index)?;
                let waited_ns = event.boot_ns.saturating_sub(wait.wait.enter_ns);
                judged.ended_after_ns = Some(waited_ns);
                Some(Outcome::Ended { finding: judged.finding.clone(), waited_ns })
            }
            _ => None,
        }
    }

    fn found(&mut self, subject: Subject, mut finding: Finding) -> Option<Outcome> {
        self.unjudged.remove(&subject);
        finding.same_lock_in = siblings::of(&finding, &self.findings);
        if let Some(known) = self.open.get(&subject).and_then(|at| self.findings.get_mut(*at)) {
            if known.finding.confidence >= finding.confidence {
                return None;
            }
            known.finding = finding.clone();
        } else {
            self.open.insert(subject, self.findings.len());
            self.findings.push(Judged { finding: finding.clone(), ended_after_ns: None });
        }
        Some(Outcome::Found(finding))
    }

    /// All findings in the order of their discovery.
    pub fn findings(&self) -> &[Judged] {
        &self.findings
    }

    /// How many waits of forked children go on, or went on until their process ended, without a
    /// finding for this reason.
    pub fn unjudged(&self, reason: Reason) -> u64 {
        self.unjudged.values().filter(|why| **why == reason).count() as u64
    }
}

//! The findings that stand.
//!
//! The judge is asked which of its findings are open: a wait may end by an event, with its thread, with its
//! process, or since another finding takes its place.

use forktrace_model::{
    event::Ended,
    judge::Judged,
    model::{Model, Process},
};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

use super::{
    alert::{Alert, Subject},
    metrics::How,
};
use crate::pipeline::Follow;

/// A thread that is killed leaves its wait first, and ends when it gets a CPU. So only what lives on for this
/// long after its wait was released, ns.
const GRACE_NS: u64 = 2_000_000_000;

/// A finding that is over.
#[derive(Debug)]
pub(super) struct Over {
    /// The finding.
    pub(super) alert: Arc<Alert>,
    /// How.
    pub(super) how: How,
    /// How long it lasted, ns.
    pub(super) lasted_ns: u64,
}

/// The findings that stand, by whom they are about.
#[derive(Debug, Default)]
pub(super) struct Open(FxHashMap<Subject, Arc<Alert>>);

impl Open {
    /// Notes a finding, or a stronger one in its place.
    pub(super) fn insert(&mut self, subject: Subject, alert: Arc<Alert>) {
        self.0.insert(subject, alert);
    }

    /// Since when what a finding is about lasts, if it is noted, `CLOCK_BOOTTIME`, ns.
    pub(super) fn since_ns(&self, subject: &Subject) -> Option<u64> {
        self.0.get(subject).map(|alert| alert.since_ns)
    }

    /// Whether a finding is noted.
    pub(super) fn has(&self, subject: &Subject) -> bool {
        self.0.contains_key(subject)
    }

    /// All of them, the oldest first.
    pub(super) fn all(&self) -> Vec<&Arc<Alert>> {
        let mut all: Vec<_> = self.0.values().collect();
        all.sort_by(|a, b| (a.since_ns, &a.id).cmp(&(b.since_ns, &b.id)));
        all
    }

    /// Forgets what is about these processes.
    pub(super) fn forget(&mut self, is_left_out: impl Fn(u32) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|_, alert| !is_left_out(alert.finding.pid));
        self.0.len() < before
    }

    /// Removes those that stand no more, as the judge knows.
    pub(super) fn settle(&mut self, follow: &Follow, now_ns: u64) -> Vec<Over> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let model = follow.model();
        let mut known: FxHashMap<Subject, &Judged> = FxHashMap::default();
        for judged in follow.judge().findings() {
            known.insert((judged.process, judged.finding.key()), judged);
        }
        let standing: FxHashSet<Subject> = known
            .iter()
            .filter(|(_, judged)| is_open(judged, model) || may_be_killed(judged, model, now_ns))
            .map(|(subject, _)| *subject)
            .collect();
        let gone: Vec<Subject> =
            self.0.keys().filter(|subject| !standing.contains(subject)).copied().collect();
        let over = |subject: Subject| {
            let alert = self.0.remove(&subject)?;
            let process = model.get(subject.0);
            let judged = known.get(&subject).copied();
            // Another finding about this process says it better: nothing has ended.
            let is_replaced = judged.is_none() && process.is_some_and(Process::is_alive);
            let how = how(judged, process);
            let ended_ns = judged.and_then(ended_ns);
            let ended_ns = ended_ns.or(process.and_then(|process| process.end_ns));
            let lasted_ns = ended_ns.unwrap_or(now_ns).saturating_sub(alert.since_ns);
            (!is_replaced).then_some(Over { alert, how, lasted_ns })
        };
        gone.into_iter().filter_map(over).collect()
    }
}

/// Whether what a finding is about goes on.
pub(super) fn is_open(judged: &Judged, model: &Model) -> bool {
    let lives = model.get(judged.process).is_some_and(Process::is_alive);
    judged.ended_after_ns.is_none() && lives
}

/// Whether its wait has ended a moment ago, and perhaps since it is being ended.
fn may_be_killed(judged: &Judged, model: &Model, now_ns: u64) -> bool {
    let lives = model.get(judged.process).is_some_and(Process::is_alive);
    lives && ended_ns(judged).is_some_and(|ended_ns| now_ns.saturating_sub(ended_ns) < GRACE_NS)
}

/// When its wait ended, if it has, `CLOCK_BOOTTIME`, ns.
fn ended_ns(judged: &Judged) -> Option<u64> {
    judged.ended_after_ns.map(|ns| judged.since_ns.saturating_add(ns))
}

fn how(judged: Option<&Judged>, process: Option<&Process>) -> How {
    let Some(process) = process else { return How::Unknown };
    match process.ended {
        Some(Ended::Code(_)) => How::Exited,
        Some(Ended::Signal(_)) => How::Killed,
        None if !process.is_alive() => How::Unknown,
        None => match (judged, &process.exec) {
            (Some(judged), Some(exec)) if exec.boot_ns > judged.since_ns => How::Execed,
            (Some(_), _) => How::Released,
            (None, _) => How::Unknown,
        },
    }
}

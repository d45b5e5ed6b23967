//! What is known at one moment.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::pipeline::{Follow, Standing};
use forktrace_model::{
    arch::Machine,
    finding::{Confidence, Finding, Severity},
    judge::{Judged, Unaccounted},
    model::{ProcId, Process},
};

/// How long a process that has ended counts as ended a short while ago, ns.
const RECENT_NS: u64 = 300_000_000_000;
/// Most processes that have ended, beside those of findings.
const MOST_ENDED: usize = 500;

/// Which findings are shown.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Suspects too.
    pub suspects: bool,
    /// Processes that were asked for by their pid.
    pub asked: FxHashSet<u32>,
}

/// All that is known at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The moment, `CLOCK_BOOTTIME`, ns.
    pub now_ns: u64,
    /// Where that is.
    pub machine: Machine,
    /// How long was watched until then, ns.
    pub watched_ns: u64,
    /// The processes, alive and ended a short while ago, in the order of their appearance.
    pub processes: Vec<Seen>,
    /// Waits that were not judged.
    pub unjudged: u64,
    /// Events that were lost.
    pub lost: u64,
    /// What is traced, in words.
    pub scope: String,
    /// It was watched for so short a time that a hang need not have been judged.
    pub is_early: bool,
}

/// One process.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What the model knows of it.
    pub process: Process,
    /// How it stands.
    pub standing: Standing,
    /// Since when the wait lasts that matters most, `CLOCK_BOOTTIME`, ns.
    pub since_ns: Option<u64>,
    /// The findings about it that are not over, or were not when it ended; the worst first.
    pub findings: Vec<Judged>,
    /// Its waits that were not judged.
    pub waits: Vec<Unaccounted>,
}

impl State {
    /// Of the models as they are. `now_ns`: the moment, `CLOCK_BOOTTIME`, ns.
    pub fn of(follow: &Follow, shown: &Shown, now_ns: u64) -> Self {
        let (model, judge) = (follow.model(), follow.judge());
        let (from_ns, _) = model.span_ns();
        let (waits, counts) = judge.unaccounted(model);
        let unjudged = counts.values().sum::<u64>().max(waits.len() as u64);
        let mut by_pid: FxHashMap<u32, Vec<Unaccounted>> = FxHashMap::default();
        for wait in waits.into_iter().filter(|wait| wait.until_ns.is_none()) {
            by_pid.entry(wait.task.pid).or_default().push(wait);
        }
        let mut findings: FxHashMap<ProcId, Vec<Judged>> = FxHashMap::default();
        for judged in judge.findings() {
            let is_over = judged.ended_after_ns.is_some();
            if !is_over && judged.finding.is_shown(shown.suspects, &shown.asked) {
                findings.entry(judged.process).or_default().push(judged.clone());
            }
        }
        let chosen = chosen(model.all(), &findings, now_ns);
        let processes = chosen.into_iter().map(|process| {
            let waits = match process.is_alive() {
                true => by_pid.remove(&process.pid).unwrap_or_default(),
                false => Vec::new(),
            };
            Seen::new(process, findings.remove(&process.id).unwrap_or_default(), waits)
        });
        State {
            now_ns,
            machine: model.machine(),
            watched_ns: now_ns.saturating_sub(from_ns),
            processes: processes.collect(),
            unjudged,
            lost: model.counts().lost,
            scope: String::new(),
            is_early: false,
        }
    }

    /// The process with this identity.
    pub fn get(&self, id: ProcId) -> Option<&Seen> {
        self.processes.iter().find(|seen| seen.process.id == id)
    }
}

/// Those that are alive, that findings are about, or that ended a short while ago.
fn chosen<'m>(
    all: &'m [Process],
    findings: &FxHashMap<ProcId, Vec<Judged>>,
    now_ns: u64,
) -> Vec<&'m Process> {
    let mut ended = 0;
    let is_chosen = |process: &&Process| {
        let Some(end_ns) = process.end_ns else { return true };
        let is_recent = now_ns.saturating_sub(end_ns) <= RECENT_NS && ended < MOST_ENDED;
        ended += usize::from(is_recent);
        is_recent || findings.contains_key(&process.id)
    };
    // The latest first, so that of very many the latest are taken.
    let mut chosen: Vec<&Process> = all.iter().rev().filter(is_chosen).collect();
    chosen.reverse();
    chosen
}

impl Seen {
    fn new(process: &Process, mut findings: Vec<Judged>, waits: Vec<Unaccounted>) -> Self {
        findings.sort_by_key(|judged| std::cmp::Reverse(badness(&judged.finding)));
        let long = process.threads.values().filter_map(|thread| thread.wait.as_ref());
        let long = long.map(|wait| wait.enter_ns).filter(|since| *since > 0).min();
        let unjudged = waits.iter().map(|wait| wait.wait.since_ns).filter(|since| *since > 0).min();
        let hang = findings.iter().find(|judged| judged.finding.severity == Severity::Hang);
        let is_waiting = long.is_some() || !waits.is_empty();
        let standing =
            Standing::of(process, findings.iter().map(|judged| &judged.finding), is_waiting);
        let since_ns = hang.map(|judged| judged.since_ns);
        Seen {
            process: process.clone(),
            standing,
            since_ns: since_ns.or(long).or(unjudged),
            findings,
            waits,
        }
    }

    /// The worst finding about it.
    pub fn finding(&self) -> Option<&Finding> {
        self.findings.first().map(|judged| &judged.finding)
    }

    /// How sure the worst finding is.
    pub fn confidence(&self) -> Option<Confidence> {
        self.finding().map(|finding| finding.confidence)
    }

    /// How long it has been waiting, ns. `now_ns`: `CLOCK_BOOTTIME`, ns.
    pub fn waited_ns(&self, now_ns: u64) -> Option<u64> {
        let until = self.process.end_ns.unwrap_or(now_ns);
        self.since_ns.map(|since| until.saturating_sub(since))
    }

    /// The process that it stands below: the one that forked it, or its parent.
    pub fn above(&self) -> Option<ProcId> {
        self.process.fork.as_ref().and_then(|fork| fork.by).or(self.process.parent)
    }

    /// Whether it hung when it ended.
    pub fn hung(&self) -> bool {
        !self.process.is_alive() && self.standing == Standing::Hangs
    }
}

/// What is worse is larger.
fn badness(finding: &Finding) -> (u8, Confidence) {
    let severity = match finding.severity {
        Severity::Hang => 2,
        Severity::Corruption => 1,
        Severity::Risk => 0,
    };
    (severity, finding.confidence)
}

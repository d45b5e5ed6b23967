//! Running a case under forktrace, and what was said of it.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{Case, Confidence, Truth};
use crate::{
    log::{Log, number},
    run::{Ended, Job, is_of_a_job},
    workload::{self, Facts},
};

/// How long a case may take; the workloads end by themselves after a few seconds.
const LIMIT: Duration = Duration::from_secs(60);
/// How long one has hung when a tracer attaches to it.
const OLD: Duration = Duration::from_millis(2500);
/// How old a healthy one is, of which many end before long.
const YOUNG: Duration = Duration::from_millis(700);
/// How long the tracer stays.
const ATTACHED: &str = "4s";
/// How long one hangs that is attached to, seconds.
const HANGS: u32 = 40;
/// How often it is looked whether one hangs.
const LOOK: Duration = Duration::from_millis(50);

/// A case that was traced from its start to its end.
#[derive(Debug)]
pub struct Traced {
    /// How it ended.
    pub ended: Ended,
    /// What forktrace recorded.
    pub log: Log,
    /// What the workload said of itself.
    pub facts: Facts,
}

/// Traces a case, with `flags` beside its own.
///
/// # Errors
/// When it does not end well, or its log is not whole.
pub fn trace(case: &Case, flags: &[&str]) -> Result<Traced> {
    let mut args: Vec<String> = ["-q", "-o", "{log}"].map(str::to_owned).to_vec();
    args.extend(case.flags.iter().chain(flags).map(|flag| (*flag).to_owned()));
    args.push("--".to_owned());
    args.extend(command(case)?);
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    let facts = Facts::read(&ended.stdout);
    Traced::read(ended, facts)
}

/// Starts a case untraced and attaches to it: to one that hangs, once it has hung for some seconds. `None`:
/// it had ended by then.
///
/// # Errors
/// When it does not hang, or the trace does not end well.
pub fn attach(case: &Case, flags: &[&str]) -> Result<Option<Traced>> {
    let longer = workload::longer(HANGS);
    let environment: Vec<_> = longer.iter().map(|(name, value)| (*name, value.as_str())).collect();
    // The environment of a healthy one is not touched.
    let environment = if case.truth.hangs() { environment } else { Vec::new() };
    let mut job = Job::start(&command(case)?, &environment)?;
    let start = Instant::now();
    let mut rests = if case.truth.hangs() { None } else { Some(start) };
    let old = if case.truth.hangs() { OLD } else { YOUNG };
    while rests.is_none_or(|since| since.elapsed() < old) {
        if rests.is_none() && job.stdout().contains("stuck=") {
            rests = Some(Instant::now());
        }
        ensure!(start.elapsed() < LIMIT, "it does not hang");
        sleep(LOOK);
    }
    let stuck = Facts::read(&job.stdout());
    let stuck = stuck.all("stuck").filter_map(|pid| u32::try_from(pid).ok());
    // What has lost its parent is looked for by its own pid, as a user would.
    let mut pids: Vec<u32> = if job.has_ended()? { Vec::new() } else { vec![job.pid()] };
    pids.extend(stuck.filter(|pid| is_of_a_job(*pid) && !descends_from(*pid, job.pid())));
    if pids.is_empty() {
        return Ok(None);
    }
    let pids = pids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    let stays = case.late.map_or(ATTACHED, |late| late.stays);
    let mut args: Vec<&str> = vec!["-q", "-d", stays, "-o", "{log}"];
    args.extend(case.flags.iter().chain(flags));
    args.extend(["-p", &pids]);
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    let facts = Facts::read(&job.stdout());
    drop(job);
    Traced::read(ended, facts).map(Some)
}

fn command(case: &Case) -> Result<Vec<String>> {
    match (case.python, case.package) {
        (Some(python), _) => python.command(case.program, case.args),
        (None, Some(_)) => Ok(workload::packaged(case.program, case.args)),
        (None, None) => workload::command(case.program, case.args),
    }
}

/// Whether one process is a descendant of another, or it itself.
fn descends_from(pid: u32, ancestor: u32) -> bool {
    let parent = |pid: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
        line.trim().parse().ok()
    };
    std::iter::successors(Some(pid), |pid| parent(*pid)).any(|pid| pid == ancestor)
}

/// One finding beside the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// How sure it is.
    pub confidence: Confidence,
    /// The thread that it is about.
    pub tid: u64,
    /// The rules that led to it, strongest first.
    pub rules: Vec<String>,
    /// Why it is wrong; `None`: it is right.
    pub wrong: Option<String>,
    /// Whether the thread does hang, so that at most the name is wrong.
    pub is_about_a_hang: bool,
}

/// Whether the lock of a finding is a semaphore at the beginning of a page: then it is likely at best. The
/// size field of its heap block is on the page before, and no copy of that page is kept, so nothing proves
/// that it was a semaphore at the fork. Where the block is depends on the environment, such as its length.
pub fn begins_a_page(finding: &Value) -> bool {
    let text = |path: &str| finding.pointer(path).and_then(Value::as_str).unwrap_or_default();
    text("/lock/address").ends_with("000") && text("/lock/kind").contains("sem")
}

impl Traced {
    fn read(ended: Ended, facts: Facts) -> Result<Self> {
        let read = || -> Result<Log> {
            ensure!(ended.code == 0, "exit status {}", ended.code);
            let log = Log::read(&ended.log())?;
            log.expect_whole()?;
            Ok(log)
        };
        let log = read().with_context(|| ended.said())?;
        Ok(Traced { ended, log, facts })
    }

    /// All findings, each in its last form, beside the truth.
    pub fn said(&self, case: &Case) -> Vec<Said> {
        self.log.findings().into_iter().filter_map(|line| self.beside_truth(case, line)).collect()
    }

    /// The threads that hang, as the workload says: `stuck=PID`, or `stuck=PID TID`.
    pub fn stuck(&self) -> Vec<u64> {
        self.facts.timed("stuck").map(|(pid, tid)| tid.unwrap_or(pid)).collect()
    }

    /// Whether the workload says that a thread hangs.
    pub fn hangs(&self, tid: u64) -> bool {
        let mut also = self.facts.timed("also");
        self.stuck().contains(&tid) || also.any(|(_, one)| one == Some(tid))
    }

    /// The threads of a process that hang beside the one that the workload names (`also=PID TID`): a
    /// finding may be about any of them.
    fn also(&self, pid: u64) -> impl Iterator<Item = u64> {
        self.facts.timed("also").filter(move |(of, _)| *of == pid).filter_map(|(_, tid)| tid)
    }

    /// The weakest of what was said rightly about what hangs; `None`: something was missed, or nothing
    /// hangs.
    pub fn verdict(&self, case: &Case) -> Option<Confidence> {
        self.weakest(case, |one| one.wrong.is_none())
    }

    /// The same of what was said at all, by whatever name.
    pub fn told(&self, case: &Case) -> Option<Confidence> {
        self.weakest(case, |_| true)
    }

    /// Of everything that hangs, the thread that a finding is about, or that the workload names.
    pub fn named(&self) -> Vec<u64> {
        let findings = self.log.sure_findings();
        let is_found = |tid: &u64| findings.iter().any(|line| number(line, "/tid") == Some(*tid));
        let of = |threads: Vec<u64>| {
            let found = threads.iter().copied().find(is_found);
            found.or(threads.first().copied())
        };
        self.groups().filter_map(of).collect()
    }

    /// The threads that hang together: the one that the workload names and those beside it.
    fn groups(&self) -> impl Iterator<Item = Vec<u64>> {
        let stuck = self.facts.timed("stuck");
        stuck.map(|(pid, tid)| std::iter::once(tid.unwrap_or(pid)).chain(self.also(pid)).collect())
    }

    fn weakest(&self, case: &Case, counts: impl Fn(&Said) -> bool) -> Option<Confidence> {
        let said = self.said(case);
        let of = |threads: Vec<u64>| {
            let of_it = said.iter().filter(|one| threads.contains(&one.tid) && counts(one));
            of_it.map(|one| one.confidence).max()
        };
        self.groups().map(of).min()?
    }

    /// Whether it was said that no child hangs.
    pub fn is_clear(&self) -> bool {
        let end = self.log.of("trace.end").last();
        let conclusion = end.and_then(|end| end.get("conclusion")).and_then(Value::as_str);
        conclusion == Some("clear") || self.ended.is_clear()
    }

    /// What must be said at least, with the lock where it was, see [`begins_a_page`].
    pub fn least(&self, case: &Case) -> Option<Confidence> {
        match self.log.findings().iter().any(|finding| begins_a_page(finding)) {
            true => case.least.min(Some(Confidence::Likely)),
            false => case.least,
        }
    }

    fn beside_truth(&self, case: &Case, line: &Value) -> Option<Said> {
        let text = |path: &str| line.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let tid = number(line, "/tid")?;
        let rules = line.pointer("/evidence").and_then(Value::as_array);
        let rule = |proof: &Value| Some(proof.get("rule")?.as_str()?.to_owned());
        let kind = text("/kind");
        let lock = text("/lock/kind");
        // It is true of who waits for the work too, and says less.
        if kind == "threads-lost" && matches!(case.truth, Truth::LostWaker(_)) {
            return None;
        }
        let wrong = match case.truth {
            Truth::OwnFault => (kind == "inherited-lock").then(|| "nothing was inherited".into()),
            _ if !self.hangs(tid) => Some(format!("{tid} does not hang")),
            truth if truth.kind() != Some(kind) && case.or != Some(kind) => {
                Some(format!("not {kind} but {truth}"))
            }
            // Where a finding is about something else than a lock, it names none.
            _ if lock.is_empty() => None,
            truth => {
                let wanted = truth.hang().map(|hang| hang.lock).unwrap_or_default();
                let is_right = wanted.is_empty() || wanted == lock;
                (!is_right).then(|| format!("not a {lock} but a {wanted}"))
            }
        };
        Some(Said {
            confidence: Confidence::read(text("/confidence"))?,
            tid,
            rules: rules.into_iter().flatten().filter_map(rule).collect(),
            wrong,
            is_about_a_hang: self.hangs(tid),
        })
    }
}

//! What is found by looking now and then, as by default: what is less sure than with `--exact`, and that
//! nothing is said to be known that is not.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    corpus::{self, Case, Confidence, Traced},
    log::{Log, number},
    run::Job,
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;

use crate::check;

const LIMIT: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(15);

/// Rows of the corpus, and how sure the finding must be; `None`: nothing above a suspicion.
static ROWS: &[(&str, Option<Confidence>)] = &[
    ("hang_mutex_normal", Some(Confidence::Certain)),
    ("hang_python", Some(Confidence::Certain)),
    // Another thread of the child may have been woken by a release that nobody saw.
    ("hang_semaphore_two_waiters", Some(Confidence::Likely)),
    ("quiet_threads_pool", None),
];

pub(crate) fn trials() -> Vec<Trial> {
    let row = |(name, expected): &'static (&str, Option<Confidence>)| {
        let case = corpus::cases().find(|case| case.name == *name);
        let needs = case.map_or([Need::Tracing; 4], Case::needed);
        trial(format!("sampled_{name}"), &needs, move || {
            run(case.with_context(|| format!("no row {name}"))?, *expected)
        })
    };
    let needs = [Need::Tracing, Need::Cc, Need::SemaphorePython, Need::Setpriv];
    let mut trials: Vec<Trial> = ROWS.iter().map(row).collect();
    trials.push(trial("sampled_prefork_workers", &needs, prefork));
    trials.push(trial("sampled_attach_to_a_hang", &needs, attach_late));
    trials.push(trial("sampled_with_a_filter", &needs[..2], filtered));
    trials.push(trial("sampled_short_trace_beside_a_hang", &needs[..2], short));
    trials.push(trial("sampled_short_trace_of_an_old_hang", &needs[..2], short_of_old));
    trials
}

/// A trace that ends when a hang has lasted long, but was not yet seen for so long, is no all-clear.
fn short() -> Result<()> {
    let name = "hang_mutex_child_has_threads";
    let case = corpus::cases().find(|case| case.name == name).context("no row")?;
    // The child waits from 0.2 s on.
    for duration in ["1.3", "1.4", "1.5"] {
        let options = ["-q", "-d", duration, "--"].map(str::to_owned);
        let command = [&options[..], &workload::command(case.program, case.args)?].concat();
        let ended = Job::forktrace(&command)?.wait(LIMIT)?;
        ensure!(!ended.is_clear(), "-d {duration}: {}", ended.said());
    }
    Ok(())
}

/// A trace that is too short to be sure of a hang, whatever its call, is no all-clear.
fn short_of_old() -> Result<()> {
    for (program, args) in
        [("shared_locks.c", ["flock", "circle", "12"]), ("pipes.c", ["full", "12", ""])]
    {
        let args: Vec<&str> = args.into_iter().filter(|arg| !arg.is_empty()).collect();
        let mut job = Job::start(&workload::command(program, &args)?, &[])?;
        job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
        std::thread::sleep(Duration::from_millis(500));
        let pid = job.pid().to_string();
        let traced = Job::forktrace(&["-q", "-d", "0.9", "-p", &pid])?.wait(LIMIT)?;
        job.wait(LIMIT)?;
        ensure!(!traced.is_clear() && traced.prints("still being checked"), "{}", traced.said());
    }
    Ok(())
}

/// Only processes that fit are looked at, and those are.
fn filtered() -> Result<()> {
    let case = corpus::cases().find(|case| case.name == "hang_mutex_normal").context("no row")?;
    let wanted = corpus::trace(case, &["--comm", "inherited*"])?;
    judge(case, Some(Confidence::Certain), &wanted).with_context(|| wanted.ended.said())?;
    let other = ["-q", "--comm", "nobody", "-o", "{log}", "--"].map(str::to_owned);
    let command = [&other[..], &workload::command(case.program, case.args)?].concat();
    let other = Job::forktrace(&command)?.wait(LIMIT)?;
    other.expect_code(4)?;
    ensure!(Log::read(&other.log())?.findings().is_empty(), "{}", other.said());
    Ok(())
}

fn run(case: &Case, expected: Option<Confidence>) -> Result<()> {
    let traced = corpus::trace(case, &[])?;
    judge(case, expected, &traced).with_context(|| traced.ended.said())
}

fn judge(case: &Case, expected: Option<Confidence>, traced: &Traced) -> Result<()> {
    check::row(case, expected, traced, |finding| {
        ensure!(finding["not_before_ns"].is_u64(), "since when is not told as a range");
        Ok(())
    })?;
    expect_honest(&traced.log)
}

/// What cannot be known without watching futex calls is nowhere said to be known.
fn expect_honest(log: &Log) -> Result<()> {
    let start = log.of("trace.start").next().context("no start")?;
    ensure!(start["lean"] == true, "the mode is not told");
    let end = log.of("trace.end").next().context("no end")?;
    let counters = end["counters"].as_object().context("no counters")?;
    let unknown = ["futex_waits", "futex_wakes", "waits_untracked"];
    ensure!(unknown.iter().all(|name| !counters.contains_key(*name)), "{counters:?}");
    for line in log.of("evidence") {
        ensure!(line["wakes_since_fork"].is_null(), "wakes are said to be known: {line}");
    }
    for line in log.of("futex.wait") {
        let (from, to) = (number(line, "/not_before_ns"), number(line, "/enter_ns"));
        ensure!(from.is_some() && from < to, "no range: {line}");
    }
    Ok(())
}

/// A server's workers: only those that hang are found.
fn prefork() -> Result<()> {
    let mut command: Vec<String> =
        ["-q", "--min-wait", "200ms", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    command.extend(workload::command("prefork.py", &["Lock", "accept", "3", "9"])?);
    let ended = Job::forktrace(&command)?.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let log = Log::read(&ended.log())?;
        log.expect_whole()?;
        expect_honest(&log)?;
        let facts = Facts::read(&ended.stdout);
        let stuck: Vec<u64> = facts.timed("stuck").filter_map(|(_, tid)| tid).collect();
        ensure!(!stuck.is_empty(), "no worker was forked while the lock was held");
        let found: Vec<_> =
            log.sure_findings().iter().filter_map(|line| number(line, "/tid")).collect();
        ensure!(found.iter().all(|tid| stuck.contains(tid)), "{found:?} of {stuck:?}");
        let suspects: Vec<_> =
            log.findings().iter().filter_map(|line| number(line, "/tid")).collect();
        let missed: Vec<_> = stuck.iter().filter(|tid| !suspects.contains(tid)).collect();
        ensure!(missed.is_empty(), "{missed:?} are not even suspects: {:#?}", log.findings());
        Ok(())
    };
    judge().with_context(|| ended.said())
}

/// A hang that is older than the trace is found, and its end seen.
fn attach_late() -> Result<()> {
    let args = ["normal", "thread", "keep", "single", "12"];
    let mut job = Job::start(&workload::command("inherited_mutex.c", &args)?, &[])?;
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    std::thread::sleep(Duration::from_millis(500));
    let pid = job.pid().to_string();
    let traced = Job::forktrace(&["-q", "-o", "{log}", "-p", &pid])?.wait(LIMIT)?;
    let ended = job.wait(LIMIT)?;
    let judge = || -> Result<()> {
        traced.expect_code(0)?;
        let log = Log::read(&traced.log())?;
        log.expect_whole()?;
        expect_honest(&log)?;
        let stuck = Facts::read(&ended.stdout).one("stuck")?;
        let finding = check::one_finding(&log, Some(stuck))?;
        let (sure, before) = (&finding["confidence"], &finding["since_before"]);
        ensure!(sure == "likely" && before == true, "{finding:#}");
        Ok(())
    };
    judge().with_context(|| traced.said())
}

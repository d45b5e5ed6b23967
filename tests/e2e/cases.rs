//! The corpus, one trial a case.

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    FalseAlarm, Need,
    corpus::{self, Case, Confidence, Traced},
    log::{Log, number},
    trial,
    workload::Facts,
};
use libtest_mimic::Trial;

use crate::check;

/// Cases that are run as on a kernel without tracepoints for page faults, too.
static BY_FAULT_EVENTS: &[&str] = &[
    "hang_mutex_normal",
    "hang_mutex_released_child_has_threads",
    "hang_mutex_released_since",
    "hang_rwlock_read_of_writer",
    "hang_semaphore",
    "hang_two_threads",
    "hang_rust_mutex",
    "hang_python",
    "hang_python_pool_worker",
    "quiet_exec",
    "quiet_released_before",
    "quiet_threads_pool",
    "quiet_heir_mutex_sleeps",
    "quiet_python_pool",
];

/// One trial a case.
pub(crate) fn trials() -> Vec<Trial> {
    let of = |case: &'static Case| trial(case.name, &case.needed(), || run(case, &[]));
    let of_events = |case: &'static Case| {
        let [_, own, other, _] = case.needed();
        let needs = [Need::FaultEvents, own, other];
        trial(format!("events_{}", case.name), &needs, || run(case, &["--fault-events"]))
    };
    let by_events = corpus::cases().filter(|case| BY_FAULT_EVENTS.contains(&case.name));
    corpus::cases().map(of).chain(by_events.map(of_events)).collect()
}

/// Traces the workload from its start to its end.
fn run(case: &Case, flags: &[&str]) -> Result<()> {
    let traced = corpus::trace(case, flags)?;
    judge(case, &traced).with_context(|| traced.ended.said())
}

fn judge(case: &Case, traced: &Traced) -> Result<()> {
    let Traced { ended, log, facts } = traced;
    log.expect_all_ended()?;
    expect_tree(log, facts)?;
    expect_verdict(case, traced)?;
    if case.least >= Some(Confidence::Likely) && case.limit.is_none() {
        for stuck in traced.named() {
            let finding = check::one_finding(log, Some(stuck))?;
            check::case(finding, case, facts)?;
        }
    }
    check::blocks(&ended.stdout, log)?;
    check::report(ended, log)
}

/// What was said is neither less nor more than the row demands, and nothing wrong was said.
fn expect_verdict(case: &Case, traced: &Traced) -> Result<()> {
    let must_tell = case.truth.kind().is_some();
    ensure!(!must_tell || !traced.stuck().is_empty(), "the workload does not say what hangs");
    let all = || format!("{:#?}", traced.log.findings());
    if case.limit.is_some() {
        // Held where it is, even where that is wrong.
        let strongest = traced.said(case).iter().map(|said| said.confidence).max();
        ensure!(strongest == case.least, "{strongest:?}, not {:?}: {}", case.least, all());
        return Ok(());
    }
    let (verdict, least) = (traced.verdict(case), traced.least(case));
    ensure!(verdict >= least, "{verdict:?} is less than {least:?}: {}", all());
    for said in traced.said(case) {
        let sure = Some(said.confidence);
        if sure > case.most {
            let error = format!("{sure:?} is more than {:?}: {}", case.most, all());
            return Err(FalseAlarm::error(error));
        }
        // A suspicion about something else is no error.
        let wrong = said.wrong.filter(|_| said.confidence > Confidence::Suspect);
        if let Some(wrong) = wrong {
            return Err(FalseAlarm::error(format!("{wrong}: {}", all())));
        }
    }
    Ok(())
}

/// Every process that the workload spoke of is in the tree, and every fork that it counted.
fn expect_tree(log: &Log, facts: &Facts) -> Result<()> {
    let processes = log.processes();
    for fact in ["born", "stuck", "forker"] {
        for pid in facts.all(fact) {
            ensure!(processes.contains(&pid), "process {pid} ({fact}) is not in the tree");
        }
    }
    for count in facts.all("threads") {
        let started = log.of("thread.start").count();
        ensure!(u64::try_from(started)? == count, "{started} threads seen, not {count}");
    }
    for count in facts.all("forks") {
        let children = log.children();
        ensure!(u64::try_from(children.len())? == count, "{} forks, not {count}", children.len());
        let sum: u64 = children.iter().sum();
        ensure!(sum == facts.one("pidsum")?, "the children are not those that were forked");
        let root = number(log.of("process.snapshot").next().context("no root")?, "/pid");
        let others = log.of("process.fork").filter(|line| number(line, "/pid") != root).count();
        ensure!(others == 0, "{others} forks with a wrong parent");
    }
    Ok(())
}

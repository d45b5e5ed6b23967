//! `--locks`: probes on lock functions name the holder of a lock that does not.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    log::{Log, number},
    run::{Ended, Job},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::check;

const LIMIT: Duration = Duration::from_secs(60);

/// Locks that the child itself takes anew, and holds for long.
static QUIET: &[(&str, &str)] = &[
    ("quiet_probed_atfork", "atfork_by_hand"),
    ("quiet_probed_remade", "remade_by_hand"),
    ("quiet_probed_heir", "heir_by_hand"),
];

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::SemaphorePython, Need::Setpriv];
    let hang = trial("probed_lock_by_hand", &needs, || {
        let ended = traced("probed_lock.py", &["8"])?;
        holder_is_named(&ended).with_context(|| ended.said())
    });
    let quiet = |(name, mode): &'static (&str, &str)| {
        trial(*name, &needs, || {
            let ended = traced("held_in_child.py", &[*mode, "4"])?;
            let log = Log::read(&ended.log())?;
            log.expect_nothing_sure()?;
            check::report(&ended, &log)
        })
    };
    let named = trial("probed_caller", &[Need::Tracing, Need::Setpriv], || {
        let ended = traced("semaphore_of_thread.c", &["4", "2"])?;
        taker_is_named(&ended).with_context(|| ended.said())
    });
    [hang, named].into_iter().chain(QUIET.iter().map(quiet)).collect()
}

fn traced(program: &str, args: &[&str]) -> Result<Ended> {
    let mut command: Vec<String> =
        ["-q", "--locks", "--min-wait", "300ms", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    command.extend(workload::command(program, args)?);
    let ended = Job::forktrace(&command)?.wait(LIMIT)?;
    ended.expect_code(0)?;
    ensure!(ended.stderr.contains("--locks: in traced processes"), "no price: {}", ended.stderr);
    Ok(ended)
}

/// The finding names the function that took a semaphore, and does not call it a possible signal.
fn taker_is_named(ended: &Ended) -> Result<()> {
    let log = Log::read(&ended.log())?;
    let finding = log.of("finding").next().context("no finding")?;
    let proofs = finding.pointer("/evidence").and_then(Value::as_array).context("no evidence")?;
    let mut details = proofs.iter().filter_map(|proof| proof.pointer("/detail")?.as_str());
    ensure!(details.any(|detail| detail.contains(" in hammer (")), "where? {finding:#}");
    check::report(ended, &log)
}

/// The one finding is likely or better, and says who had the lock, since when and where it was taken.
fn holder_is_named(ended: &Ended) -> Result<()> {
    let log = Log::read(&ended.log())?;
    log.expect_whole()?;
    let facts = Facts::read(&ended.stdout);
    let finding = check::one_finding(&log, None)?;
    let holder = number(finding, "/holder/tid");
    ensure!(holder == Some(facts.one("holder")?), "held by {holder:?}: {finding:#}");
    let said = |rule: &str| {
        let proofs = finding.pointer("/evidence").and_then(Value::as_array);
        proofs
            .is_some_and(|all| all.iter().any(|proof| proof.pointer("/rule") == Some(&rule.into())))
    };
    ensure!(said("holder-seen"), "no probe is said to have seen it: {finding:#}");
    let probed = log.of("evidence").find_map(|line| line.pointer("/probed/holds/0").cloned());
    let hold = probed.context("no hold in the evidence")?;
    ensure!(hold.pointer("/place").is_some_and(Value::is_string), "not where: {hold:#}");
    check::report(ended, &log)
}

//! Locks without an owner field in workers with several threads: whose they were, and what only
//! looks like one.

use std::{collections::BTreeSet, time::Duration};

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

/// A server, and whether each of its hangs must be found: a lock that is taken by hand may share
/// its page with what the worker writes, and is a suspect then.
static SERVERS: &[(&str, &[&str], bool)] = &[
    ("prefork_lock_accept", &["Lock", "accept", "3", "9"], true),
    ("prefork_lock_select", &["Lock", "select", "3", "9"], true),
    ("prefork_rlock", &["RLock", "wait", "2", "9"], true),
    ("prefork_lock_by_hand", &["acquire", "accept", "2", "9"], false),
];

/// Programs that wait for somebody of their own.
static QUIET: &[(&str, &str, &str)] = &[
    ("quiet_heir_in_with", "held_in_child.py", "heir_with"),
    ("quiet_heir_by_hand", "held_in_child.py", "heir_by_hand"),
    ("quiet_heir_alone", "held_in_child.py", "heir_by_hand_alone"),
    ("quiet_atfork_with", "held_in_child.py", "atfork_with"),
    ("quiet_atfork_by_hand", "held_in_child.py", "atfork_by_hand"),
    ("quiet_atfork_helper", "held_in_child.py", "atfork_helper"),
    ("quiet_remade_with", "held_in_child.py", "remade_with"),
    ("quiet_remade_by_hand", "held_in_child.py", "remade_by_hand"),
    ("quiet_remade_helper", "held_in_child.py", "remade_helper"),
    ("quiet_signal_queue", "signals.py", "queue"),
    ("quiet_signal_executor", "signals.py", "executor"),
    ("quiet_signal_condition", "signals.py", "condition"),
    ("quiet_signal_event", "signals.py", "event"),
    ("quiet_signal_join", "signals.py", "join"),
    ("quiet_signal_reinit", "signals.py", "reinit"),
];

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::SemaphorePython, Need::Setpriv];
    let server = |(name, args, all): &'static (&str, &[&str], bool)| {
        trial(*name, &needs, || {
            let ended = traced("prefork.py", args)?;
            hangs(&ended, *all).with_context(|| ended.said())
        })
    };
    let quiet = |(name, program, mode): &'static (&str, &str, &str)| {
        trial(*name, &needs, || {
            let ended = traced(program, &[*mode, "3"])?;
            nothing(&ended).with_context(|| ended.said())
        })
    };
    SERVERS.iter().map(server).chain(QUIET.iter().map(quiet)).collect()
}

/// Traces a workload with a threshold so short that the waits last for many times as long.
fn traced(program: &str, args: &[&str]) -> Result<Ended> {
    let mut command: Vec<String> =
        ["-q", "--min-wait", "200ms", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    command.extend(workload::command(program, args)?);
    let ended = Job::forktrace(&command)?.wait(LIMIT)?;
    ended.expect_code(0)?;
    Ok(ended)
}

fn nothing(ended: &Ended) -> Result<()> {
    let log = Log::read(&ended.log())?;
    log.expect_whole()?;
    log.expect_nothing_sure()?;
    check::report(ended, &log)
}

/// Every finding is about a thread that says of itself that it hangs, names the thread of the parent
/// that had the lock, and (with `all`) there is one for every such thread.
fn hangs(ended: &Ended, all: bool) -> Result<()> {
    let log = Log::read(&ended.log())?;
    log.expect_whole()?;
    let facts = Facts::read(&ended.stdout);
    let stuck: Vec<_> = facts.timed("stuck").map(|(pid, tid)| (Some(pid), tid)).collect();
    ensure!(!stuck.is_empty(), "no worker was forked while the lock was held");
    let task = |line: &Value| (number(line, "/pid"), number(line, "/tid"));
    let found = log.sure_findings();
    for line in &found {
        ensure!(stuck.contains(&task(line)), "not stuck: {line:#}");
        let holder = number(line, "/holder/tid");
        // A lock that is still held by the time of the look has no known holder.
        ensure!(holder.is_none() || holder == facts.one("holder").ok(), "not the holder: {line:#}");
    }
    let missed: Vec<_> =
        stuck.iter().filter(|stuck| !found.iter().any(|line| task(line) == **stuck)).collect();
    ensure!(!all || missed.is_empty(), "missed {missed:?}: {:#?}", log.findings());
    let processes: BTreeSet<_> = found.iter().map(|line| number(line, "/pid")).collect();
    let named = found.iter().filter(|line| line.get("same_lock_in").is_some_and(Value::is_array));
    ensure!(processes.len() < 2 || named.count() > 0, "no siblings: {found:#?}");
    check::report(ended, &log)
}

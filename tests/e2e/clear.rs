//! The all-clear: that healthy programs get it, in every mode.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    log::Log,
    run::{Ended, Job},
    trial, workload,
};
use libtest_mimic::Trial;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(15);
/// How long the threads of a pool rest, s: several times longer than a wait must last to be judged.
const RESTS: &str = "4";
/// The same where the tracer comes late.
const RESTS_LATE: &str = "20";

/// Healthy programs, and what they are called with.
static HEALTHY: &[(&str, &str, &[&str])] = &[
    ("pool", "rested_pool.c", &["heap", "join", RESTS]),
    ("pool_on_stack", "rested_pool.c", &["stack", "join", RESTS]),
    ("pool_that_exits", "rested_pool.c", &["heap", "exit", RESTS]),
    ("pool_on_stack_that_exits", "rested_pool.c", &["stack", "exit", RESTS]),
    ("many_pages", "many_pages.c", &["6000"]),
];

/// How it is traced.
static MODES: &[(&str, &[&str])] = &[
    ("", &[]),
    ("_exact", &["--exact"]),
    ("_by_name", &["--comm", "rested_pool", "--comm", "many_pages"]),
];

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc];
    let mut trials = Vec::new();
    for (name, program, args) in HEALTHY {
        for (mode, options) in MODES {
            let run = move || from_the_start(program, args, options);
            trials.push(trial(format!("clear_{name}{mode}"), &needs, run));
        }
    }
    for place in ["heap", "stack"] {
        for (mode, options) in MODES {
            let run = move || attached(place, options);
            trials.push(trial(format!("clear_late_{place}{mode}"), &needs, run));
        }
    }
    trials
}

fn from_the_start(program: &str, args: &[&str], options: &[&str]) -> Result<()> {
    let begin = [&["-q", "-o", "{log}"], options, &["--"]].concat();
    let mut command: Vec<String> = begin.into_iter().map(str::to_owned).collect();
    command.extend(workload::command(program, args)?);
    expect_clear(&Job::forktrace(&command)?.wait(LIMIT)?)
}

/// The threads rest already when tracing begins.
fn attached(place: &str, options: &[&str]) -> Result<()> {
    let command = workload::command("rested_pool.c", &[place, "join", RESTS_LATE])?;
    let mut job = Job::start(&command, &[])?;
    job.until("rests", START, |job| job.stdout().contains("rests="))?;
    std::thread::sleep(Duration::from_secs(2));
    let pid = job.pid().to_string();
    let args = [&["-q", "-d", "4s", "-o", "{log}", "-p", &pid], options].concat();
    let traced = Job::forktrace(&args)?.wait(LIMIT)?;
    drop(job);
    expect_clear(&traced)
}

fn expect_clear(traced: &Ended) -> Result<()> {
    let judge = || -> Result<()> {
        traced.expect_code(0)?;
        let log = Log::read(&traced.log())?;
        log.expect_whole()?;
        let end = log.of("trace.end").next().context("no end")?;
        let conclusion = end.get("conclusion").and_then(Value::as_str);
        ensure!(conclusion == Some("clear"), "concludes {conclusion:?}");
        log.expect_no_finding()?;
        ensure!(traced.is_clear() && traced.report(&["-q"])?.is_clear(), "says something else");
        Ok(())
    };
    judge().with_context(|| traced.said())
}

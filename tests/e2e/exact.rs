//! `--exact`: every wait and wake is seen, so more is sure, and times are exact.

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    corpus::{self, Case, Confidence, Traced},
    log::{Log, number},
    trial,
};
use libtest_mimic::Trial;

use crate::check;

/// Rows of the corpus, and how sure the finding must be; `None`: nothing above a suspicion.
static ROWS: &[(&str, Option<Confidence>)] = &[
    ("hang_mutex_normal", Some(Confidence::Certain)),
    ("hang_mutex_released_child_has_threads", Some(Confidence::Certain)),
    ("hang_semaphore", Some(Confidence::Certain)),
    ("hang_semaphore_two_waiters", Some(Confidence::Certain)),
    ("hang_pid_namespace", Some(Confidence::Certain)),
    ("hang_python", Some(Confidence::Certain)),
    ("hang_python_worker_with_feeder", Some(Confidence::Certain)),
    ("hang_rust_mutex", Some(Confidence::Certain)),
    ("hang_parking_lot_mutex", Some(Confidence::Certain)),
    ("lost_waker_openmp", Some(Confidence::Certain)),
    ("quiet_python_pool", None),
    ("quiet_python_executor", None),
    ("quiet_python_threads_queue", None),
    ("quiet_rust_condvar", None),
    ("quiet_threads_pool", None),
];

pub(crate) fn trials() -> Vec<Trial> {
    let row = |(name, expected): &'static (&str, Option<Confidence>)| {
        let case = corpus::cases().find(|case| case.name == *name);
        let needs = case.map_or([Need::Tracing; 4], Case::needed);
        trial(format!("exact_{name}"), &needs, move || {
            run(case.with_context(|| format!("no row {name}"))?, *expected)
        })
    };
    ROWS.iter().map(row).collect()
}

fn run(case: &Case, expected: Option<Confidence>) -> Result<()> {
    let traced = corpus::trace(case, &["--exact"])?;
    judge(case, expected, &traced).with_context(|| traced.ended.said())
}

fn judge(case: &Case, expected: Option<Confidence>, traced: &Traced) -> Result<()> {
    check::row(case, expected, traced, |finding| {
        ensure!(finding["not_before_ns"].is_null(), "since when is told as a range");
        Ok(())
    })?;
    expect_exact(&traced.log)
}

/// What watching futex calls tells is said.
fn expect_exact(log: &Log) -> Result<()> {
    let end = log.of("trace.end").next().context("no end")?;
    let waits = number(end, "/counters/futex_waits");
    ensure!(waits.is_some(), "waits were not counted: {}", end["counters"]);
    for line in log.of("futex.wait") {
        ensure!(number(line, "/not_before_ns").is_none(), "a range: {line}");
    }
    Ok(())
}

//! What a trace concludes where nothing is found: `unsure`, with the wait by name, if something hangs of which
//! it is not known who alone could end it; `clear` if somebody ends it.

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

/// A program with its arguments, and the conclusion.
type Row = (&'static str, &'static str, &'static [&'static str], &'static str);

static ROWS: &[Row] = &[
    ("io_uring", "not_understood.c", &["ring", "hang"], "unsure"),
    ("end_in_message", "not_understood.c", &["taken", "hang"], "unsure"),
    ("terminal", "not_understood.c", &["terminal", "hang"], "unsure"),
    ("started_eventfd", "started.c", &["eventfd"], "unsure"),
    ("started_lock", "started.c", &["lock"], "unsure"),
    ("io_uring_late", "not_understood.c", &["ring", "late"], "clear"),
    ("end_in_message_late", "not_understood.c", &["taken", "late"], "clear"),
    ("started_eventfd_late", "started.c", &["late-eventfd"], "clear"),
    ("started_lock_late", "started.c", &["late-lock"], "clear"),
    ("tcp_late", "tcp.c", &["late"], "clear"),
    ("tcp_late_self", "tcp.c", &["late-self"], "clear"),
    ("tcp_late_full", "tcp.c", &["late-full"], "clear"),
    ("tcp_timeout", "tcp.c", &["timeout"], "clear"),
];

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc];
    let of = |row: &'static Row| {
        let (name, program, args, conclusion) = *row;
        trial(format!("concludes_{name}"), &needs, move || nothing_found(program, args, conclusion))
    };
    ROWS.iter().map(of).collect()
}

fn traced(program: &str, args: &[&str]) -> Result<Ended> {
    let begin = ["-q", "-o", "{log}", "--"].into_iter().map(str::to_owned);
    let command: Vec<String> = begin.chain(workload::command(program, args)?).collect();
    let traced = Job::forktrace(&command)?.wait(LIMIT)?;
    traced.expect_code(0)?;
    Ok(traced)
}

fn concluded(log: &Log) -> Option<&str> {
    log.of("trace.end").next()?.get("conclusion").and_then(Value::as_str)
}

fn nothing_found(program: &str, args: &[&str], conclusion: &str) -> Result<()> {
    let traced = traced(program, args)?;
    let judge = || -> Result<()> {
        let log = Log::read(&traced.log())?;
        log.expect_whole()?;
        let told = concluded(&log);
        ensure!(told == Some(conclusion), "concludes {told:?}, not {conclusion}");
        ensure!(log.findings().is_empty(), "found {:#?}", log.findings());
        let clear = conclusion == "clear";
        ensure!(
            traced.is_clear() == clear && traced.report(&["-q"])?.is_clear() == clear,
            "says another"
        );
        ensure!(traced.prints("1 wait was not judged") != clear, "the wait is not named");
        Ok(())
    };
    judge().with_context(|| traced.said())
}

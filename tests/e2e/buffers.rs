//! Text that was in a buffer at the fork: who writes it twice is found, and who does not is not.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    corpus::Confidence::{self, Certain, Likely},
    log::Log,
    run::Job,
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use serde_json::Value;

/// How long a row may take; the workloads end by themselves after three seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// A program, and what must be said of it.
#[derive(Clone, Copy)]
struct Row {
    program: &'static str,
    args: &'static [&'static str],
    /// The buffer's kind and the least confidence; `None`: nothing may be said.
    truth: Option<(&'static str, Confidence)>,
    /// The text is in the file twice, and nobody has inherited it.
    alike: bool,
}

const fn row(program: &'static str, args: &'static [&'static str]) -> Row {
    Row { program, args, truth: None, alike: false }
}

impl Row {
    const fn twice(self, kind: &'static str, least: Confidence) -> Self {
        Row { truth: Some((kind, least)), ..self }
    }

    const fn alike(self) -> Self {
        Row { alike: true, ..self }
    }
}

const C: &str = "buffers/stream.c";
const MUSL: &str = "buffers/musl_stream.musl.c";
const CXX: &str = "buffers/cout.cc";
const PYTHON: &str = "buffers/files.py";

#[rustfmt::skip]
static ROWS: &[Row] = &[
    row(C, &["file", "exits"]).twice("glibc", Likely),
    row(C, &["file", "quick"]).twice("glibc", Likely),
    row(C, &["file", "exits-late"]).twice("glibc", Likely),
    row(C, &["file", "adds"]).twice("glibc", Likely),
    row(C, &["file", "adds-lives"]).twice("glibc", Likely),
    row(C, &["file", "churns"]).twice("glibc", Likely),
    row(C, &["file", "flushes"]).twice("glibc", Likely),
    row(C, &["file", "closes"]).twice("glibc", Likely),
    row(C, &["file", "parent-first"]).twice("glibc", Likely),
    row(C, &["file", "many"]).twice("glibc", Certain),
    row(C, &["stdout", "exits"]).twice("glibc", Likely),
    row(C, &["stdout", "adds"]).twice("glibc", Likely),
    row(C, &["stdout", "many"]).twice("glibc", Certain),
    row(MUSL, &["file", "exits"]).twice("musl", Likely),
    row(MUSL, &["file", "adds-lives"]).twice("musl", Likely),
    row(MUSL, &["file", "flushes"]).twice("musl", Likely),
    row(MUSL, &["file", "many"]).twice("musl", Certain),
    row(MUSL, &["stdout", "exits"]).twice("musl", Likely),
    row(CXX, &["exits"]).twice("glibc", Likely),
    row(CXX, &["adds"]).twice("glibc", Likely),
    row(PYTHON, &["text", "exits"]).twice("python-text", Likely),
    row(PYTHON, &["text", "adds"]).twice("python-text", Likely),
    row(PYTHON, &["text", "many"]).twice("python-text", Certain),
    row(PYTHON, &["stdout", "exits-late"]).twice("python-text", Likely),
    row(PYTHON, &["stdout", "adds-lives"]).twice("python-text", Likely),
    row(PYTHON, &["binary", "exits"]).twice("python-bytes", Likely),
    row(C, &["file", "leaves"]),
    row(C, &["file", "leaves-late"]),
    row(C, &["file", "many-leave"]),
    row(C, &["file", "execs"]),
    row(C, &["file", "killed"]),
    row(C, &["file", "flushed"]),
    row(C, &["file", "flushed-all"]),
    row(C, &["file", "flushed-used"]),
    row(C, &["file", "closed"]),
    row(C, &["file", "unbuffered"]),
    row(C, &["file", "lines"]),
    row(C, &["file", "reads"]),
    row(C, &["file", "empty"]),
    row(C, &["file", "child-only"]),
    row(C, &["file", "alike"]).alike(),
    row(C, &["file", "purges"]),
    row(C, &["file", "purges-late"]),
    row(C, &["file", "elsewhere"]),
    row(C, &["file", "parent-leaves"]),
    row(C, &["stdout", "leaves"]),
    row(C, &["stdout", "flushed"]),
    row(MUSL, &["file", "leaves-late"]),
    row(MUSL, &["file", "flushed"]),
    row(MUSL, &["file", "alike"]).alike(),
    row(MUSL, &["stdout", "lines"]),
    row(CXX, &["leaves"]),
    row(CXX, &["flushed"]),
    row(CXX, &["quick-exit"]),
    row(PYTHON, &["text", "leaves"]),
    row(PYTHON, &["text", "leaves-late"]),
    row(PYTHON, &["text", "prints-leaves"]),
    row(PYTHON, &["text", "flushed-exits"]),
    row(PYTHON, &["text", "execs"]),
    row(PYTHON, &["text", "killed"]),
    row(PYTHON, &["text", "closed"]),
    row(PYTHON, &["text", "lines"]),
    row(PYTHON, &["text", "empty"]),
    row(PYTHON, &["text", "multiprocessing"]),
    row(PYTHON, &["stdout", "multiprocessing"]),
    row(PYTHON, &["stdout", "child-only"]),
    row(PYTHON, &["binary", "leaves"]),
    row(PYTHON, &["unbuffered", "exits"]),
];

pub(crate) fn trials() -> Vec<Trial> {
    ROWS.iter().map(of).collect()
}

fn of(row: &'static Row) -> Trial {
    let suffix = row.program.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let sort = if row.truth.is_some() { "twice" } else { "once" };
    let musl = if row.program == MUSL { "musl_" } else { "" };
    let name = format!("buffers_{sort}_{musl}{suffix}_{}", row.args.join("_"));
    trial(name, &[Need::Tracing, workload::need(row.program)], || run(row))
}

fn run(row: &Row) -> Result<()> {
    let command = workload::command(row.program, row.args)?;
    let mut args = ["-q", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    args.extend(command);
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    let facts = Facts::read(&ended.stdout);
    let log = Log::read(&ended.log())?;
    log.expect_whole()?;
    judge(row, &log, &facts).with_context(|| ended.said())
}

fn judge(row: &Row, log: &Log, facts: &Facts) -> Result<()> {
    // What is not shown without being asked for is no alarm.
    let findings = log.findings();
    let shown: Vec<&Value> = findings
        .iter()
        .copied()
        .filter(|finding| finding.get("confidence").and_then(Value::as_str) != Some("suspect"))
        .collect();
    let said = || format!("{findings:#?}");
    let times = facts.all("times").next();
    let Some((kind, least)) = row.truth else {
        ensure!(shown.is_empty(), "nothing is wrong: {}", said());
        ensure!(row.alike || times.is_none_or(|times| times <= 1), "the text is there {times:?}");
        return Ok(());
    };
    ensure!(times >= Some(2), "the text is there {times:?}");
    ensure!(!shown.is_empty(), "nothing was found");
    let mut best = None;
    for finding in shown {
        let text = |path: &str| finding.pointer(path).and_then(Value::as_str).unwrap_or_default();
        ensure!(text("/kind") == "unflushed-buffer", "another hazard: {}", said());
        ensure!(text("/buffers/0/kind") == kind, "not {kind}: {}", said());
        ensure!(!text("/advice").is_empty(), "no advice");
        best = best.max(Confidence::read(text("/confidence")));
    }
    ensure!(best >= Some(least), "too weak: {}", said());
    Ok(())
}

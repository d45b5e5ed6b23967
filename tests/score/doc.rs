//! What the score looks like: on the terminal, and as docs/scoreboard.md.

use std::{fmt::Write as _, fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    corpus::{Mode, Row},
    real::{self, Came},
    sum::{Share, Sum},
};

/// The heading at which the part about real software begins.
const REAL: &str = "## Real software";
/// The same of the corpus with `--exact`.
const EXACT: &str = "## With --exact";
/// The same of the corpus when it is attached to.
const LATE: &str = "## After the fact";
/// The parts behind the first, in their order.
const PARTS: [&str; 3] = [LATE, EXACT, REAL];

/// The cases as a Markdown table, its columns aligned.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = ["case", "truth", "verdict", "evidence"].map(str::to_owned).to_vec();
    let cells = |row: &Row| {
        vec![row.case.name.to_owned(), row.case.truth.to_string(), row.label(), row.rules()]
    };
    markdown(head, rows.iter().map(cells))
}

/// A Markdown table, its columns aligned.
pub(crate) fn markdown(head: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:<width$} ");
        }
        text.push_str("|\n");
        if number == 0 {
            for width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text.push_str("|\n");
        }
    }
    text
}

/// Recall and precision, and everything that is not as it should be, by name.
pub(crate) fn result(rows: &[Row], sum: &Sum) -> String {
    let head = ["", "certain", "likely", "suspect"].map(str::to_owned).to_vec();
    let line = |name: &str, shares: [Share; 3]| {
        let name = std::iter::once(name.to_owned());
        name.chain(shares.map(Share::text)).collect::<Vec<_>>()
    };
    let lines = [
        line("precision of the findings with this confidence", sum.precision),
        line("with the stated limits included", sum.precision_with_limits),
        line("recall of inherited locks, with at least this confidence", sum.recall),
        line("with the stated limits included", sum.recall_with_limits),
        line("recall of other hangs, by the right name", sum.others),
        line("recall of work for lost threads", sum.lost_work),
        line("recall of all hangs, by whatever name", sum.hangs),
        line("with the stated limits included", sum.hangs_with_limits),
    ];
    let mut text = markdown(head, lines.into_iter());
    let silent = sum.silent.text();
    let _ = writeln!(text, "\nHealthy programs without a finding: {silent}.");
    let _ = writeln!(text, "Healthy programs with the all-clear: {}.", sum.clear.text());
    let positives = rows.iter().filter(|row| row.case.truth.hangs()).count();
    let limits = rows.iter().filter(|row| row.case.limit.is_some()).count();
    let (cases, skipped) = (rows.len(), sum.skipped);
    let _ = writeln!(
        text,
        "Cases: {cases}; {positives} hang, {limits} are stated limits. Skipped runs: {skipped}.\n"
    );
    list(&mut text, "False alarms (findings above suspect that are wrong)", &sum.false_alarms);
    list(&mut text, "False all-clears (\"no child hangs\" where one does)", &sum.false_clears);
    list(&mut text, "Misses", &sum.misses);
    list(&mut text, "Below the expected confidence", &sum.regressions);
    text
}

fn list(text: &mut String, what: &str, entries: &[String]) {
    if entries.is_empty() {
        let _ = writeln!(text, "{what}: none.\n");
        return;
    }
    let _ = writeln!(text, "{what}:\n");
    for entry in entries {
        let _ = writeln!(text, "- {entry}");
    }
    text.push('\n');
}

/// Writes the part of docs/scoreboard.md that is about the corpus in this mode.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_corpus(rows: &[Row], sum: &Sum, runs: u32, mode: Mode) -> Result<()> {
    match mode {
        Mode::Full => write_full(rows, sum, runs),
        Mode::Exact => write_mode(EXACT, "--exact", rows, sum, runs),
        Mode::Late => write_mode(LATE, "--late", rows, sum, runs),
    }
}

/// Writes the part about another mode than the full one: what was measured, and each row that differs
/// from what it demands.
fn write_mode(heading: &str, flag: &str, rows: &[Row], sum: &Sum, runs: u32) -> Result<()> {
    let what = match flag {
        "--late" => {
            "Attached to once each has hung for some seconds (`-p PID`), for four seconds. A finding is right \
             there if its thread hangs, whatever the name."
        }
        _ => "Traced with `--exact`: every futex wait and wake is seen.",
    };
    let (result, machine) = (result(rows, sum), machine());
    let part = format!(
        "{heading}

{what} Rows that ended before they could be attached to are not counted.

Generated by `cargo xtask score {flag} --runs {runs}` on {machine}.

{result}"
    );
    write(|old| replaced(old, heading, &part))
}

/// The text with one part replaced, or with the part before the one about real software.
fn replaced(old: &str, heading: &str, part: &str) -> String {
    let at = old.find(heading).unwrap_or_else(|| part_end(old, 0, heading));
    let end = part_end(old, at, heading);
    let (before, after) = (old.get(..at).unwrap_or(old), old.get(end..).unwrap_or_default());
    format!("{before}{part}{after}")
}

/// Where a part that begins at `at` ends, or where it is to begin if it is not there.
fn part_end(old: &str, at: usize, heading: &str) -> usize {
    let later = PARTS.iter().skip_while(|part| **part != heading).skip(1);
    let next = later.filter_map(|part| old.get(at..)?.find(part)).map(|found| at + found);
    next.min().unwrap_or(old.len())
}

/// Writes the first part.
fn write_full(rows: &[Row], sum: &Sum, runs: u32) -> Result<()> {
    let (limits, others): (Vec<&Row>, Vec<&Row>) =
        rows.iter().partition(|row| row.case.limit.is_some());
    let head = ["case", "truth", "verdict", "why"].map(str::to_owned).to_vec();
    let cells = |row: &&Row| {
        let why = row.case.limit.unwrap_or_default().to_owned();
        vec![row.case.name.to_owned(), row.case.truth.to_string(), row.label(), why]
    };
    let limits = markdown(head, limits.iter().map(cells));
    let head = ["case", "truth", "verdict", "evidence"].map(str::to_owned).to_vec();
    let cells = |row: &&Row| {
        vec![row.case.name.to_owned(), row.case.truth.to_string(), row.label(), row.rules()]
    };
    let others = markdown(head, others.iter().map(cells));
    let result = result(rows, sum);
    let machine = machine();
    let text = format!(
        "# Scoreboard

The verdicts of forktrace on programs with a known truth. Each case is a separate program in
[tests/workloads](../tests/workloads). Its row is in [tests/src/corpus](../tests/src/corpus), and is also
an end-to-end test (`cargo xtask test CASE`).

Generated by `cargo xtask score --runs {runs}` on {machine}.

## Result

{result}## Stated limits

What cannot be judged, or is judged wrongly. A test fails if one of these verdicts changes.

{limits}
## Cases

{others}
"
    );
    write(|old| {
        let rest = PARTS.iter().filter_map(|part| old.find(part)).min();
        format!("{text}{}", old.get(rest.unwrap_or(old.len())..).unwrap_or_default())
    })
}

/// What was seen of the real software, and every finding.
pub(crate) fn software(rows: &[real::Row]) -> String {
    let head = [
        "software",
        "version",
        "traced",
        "time",
        "processes",
        "threads",
        "long waits",
        "judged",
        "certain",
        "likely",
        "suspect",
        "lost",
        "conclusion",
    ];
    let cells = |(software, mode, came): &real::Row| {
        let mut cells = vec![software.name.to_owned()];
        match came {
            Came::Ran(seen) => {
                cells.push(seen.version.clone());
                cells.push(real::how(*mode).to_owned());
                cells.push(format!("{} s", seen.seconds));
                let counts = [seen.processes, seen.threads, seen.waits, seen.judged];
                cells.extend(counts.into_iter().chain(seen.findings).map(|it| it.to_string()));
                cells.push(seen.lost.to_string());
                cells.push(seen.conclusion.clone());
            }
            Came::Skipped(why) => cells.push(format!("skipped: {why}")),
            Came::Failed(_) => cells.push("FAILED".to_owned()),
        }
        cells.resize(head.len(), String::new());
        cells
    };
    let mut text = markdown(head.map(str::to_owned).to_vec(), rows.iter().map(cells));
    text.push('\n');
    list(&mut text, "Findings", &findings(rows));
    text
}

/// Every finding in a line, equal ones together, and what failed.
fn findings(rows: &[real::Row]) -> Vec<String> {
    let mut findings = Vec::new();
    for (software, mode, came) in rows {
        match came {
            Came::Ran(seen) => {
                let how = real::how(*mode);
                let said = |said: &String| format!("{} ({how}): {said}", software.name);
                findings.extend(seen.said.iter().map(said));
            }
            Came::Failed(why) => {
                let why = why.lines().next().unwrap_or_default();
                findings.push(format!("{} failed: {why}", software.name));
            }
            Came::Skipped(_) => {}
        }
    }
    findings.sort();
    let mut counted: Vec<(String, usize)> = Vec::new();
    for finding in findings {
        match counted.last_mut().filter(|(known, _)| *known == finding) {
            Some((_, count)) => *count += 1,
            None => counted.push((finding, 1)),
        }
    }
    counted.into_iter().map(|(text, count)| format!("{text} (×{count})")).collect()
}

/// Writes the part of docs/scoreboard.md that is about real software.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_real(rows: &[real::Row]) -> Result<()> {
    let (table, machine) = (software(rows), machine());
    let text = format!(
        "{REAL}

Software that forks and has no known fault. The scripts in [tests/real](../tests/real) run it under
forktrace: from start to end (*whole*), the same with `--exact`, and attached to for eight seconds while it
waits for work (*at rest*). To make this harder, waits are judged after a fifth of a second
(`--min-wait 200ms`). No finding is right, and the conclusion `clear`.

Generated by `cargo xtask score --real` on {machine}.

{table}"
    );
    write(|old| format!("{}{text}", old.get(..real(old)).unwrap_or_default()))
}

/// Where the part about real software begins, or would.
fn real(old: &str) -> usize {
    old.find(REAL).unwrap_or(old.len())
}

/// Writes docs/scoreboard.md from what it was.
fn write(from: impl FnOnce(&str) -> String) -> Result<()> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scoreboard.md"));
    let old = fs::read_to_string(&path).unwrap_or_default();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&path, from(&old)).with_context(|| format!("writing {}", path.display()))
}

/// Kernel and tools, as far as they say their versions.
fn machine() -> String {
    let first = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().next().map(|line| line.trim().to_owned())
    };
    // The kernel's number without what its builder calls it.
    let kernel = first("uname", &["-sr"]);
    let kernel = kernel.and_then(|text| Some(text.split('-').next()?.to_owned()));
    let libc = first("getconf", &["GNU_LIBC_VERSION"]);
    let parts = [kernel, libc, first("python3", &["--version"])];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

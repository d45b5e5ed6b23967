//! A state without a screen: a table, or a line of JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::{Arrangement, Column, State, rows::rows, view::status};
use crate::report::{Clock, Style, cells, hang, hazards};
use forktrace_model::{arch::Machine, finding::Finding, judge::Judged};

/// Writes a table: the first line says when it is of, and what is missing in it.
///
/// # Errors
/// When it cannot be written.
pub fn table(
    out: &mut impl Write,
    state: &State,
    arrangement: &Arrangement,
    style: Style,
    clock: &Clock,
) -> io::Result<()> {
    writeln!(out, "{}  {}", clock.time(state.now_ns), status(state, false, style))?;
    let rows = rows(state, arrangement, style);
    let lines: Vec<[String; 8]> = rows
        .iter()
        .map(|row| Column::ALL.map(|column| row.cell(column, state, style, clock)))
        .collect();
    let titles = Column::ALL.map(|column| column.title().to_owned());
    let widths: [usize; 8] = std::array::from_fn(|at| {
        let cells = lines.iter().chain([&titles]).filter_map(|line| line.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    });
    for line in [&titles].into_iter().chain(&lines) {
        let mut text = String::new();
        for (at, (cell, width)) in line.iter().zip(widths).enumerate() {
            text.push_str(&match at {
                0 => format!("{cell:>width$}"),
                _ => format!("  {cell:<width$}"),
            });
        }
        writeln!(out, "{}", text.trim_end())?;
    }
    writeln!(out)?;
    out.flush()
}

/// Writes one line of JSON.
///
/// # Errors
/// When it cannot be written.
pub fn json(
    out: &mut impl Write,
    state: &State,
    arrangement: &Arrangement,
    clock: &Clock,
) -> io::Result<()> {
    let style = Style::default();
    let rows = rows(state, arrangement, style);
    let found = |judged: &Judged| Found::of(&judged.finding, state.machine);
    let processes = rows.iter().map(|row| {
        let (seen, process) = (row.seen, &row.seen.process);
        Line {
            pid: process.pid,
            ppid: process.ppid,
            comm: &process.comm,
            exe: process.exe.as_deref(),
            state: cells::state(seen.standing, !process.is_alive()),
            wait_ns: seen.waited_ns(state.now_ns),
            forked_ns: Some(process.start_ns).filter(|start| *start > 0),
            ended_ns: process.end_ns,
            findings: seen.findings.iter().map(found).collect(),
            waits_not_judged: seen.waits.len(),
        }
    });
    let all = All {
        boot_ns: state.now_ns,
        time: clock.utc(state.now_ns),
        watched_ns: state.watched_ns,
        early: state.is_early,
        scope: &state.scope,
        waits_not_judged: state.unjudged,
        events_lost: state.lost,
        processes: processes.collect(),
    };
    serde_json::to_writer(&mut *out, &all)?;
    writeln!(out)?;
    out.flush()
}

/// A state. Times are `CLOCK_BOOTTIME`, ns, and below 2^53 for a hundred days.
#[derive(Serialize)]
struct All<'a> {
    boot_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    watched_ns: u64,
    early: bool,
    scope: &'a str,
    waits_not_judged: u64,
    events_lost: u64,
    processes: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    pid: u32,
    ppid: u32,
    comm: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    exe: Option<&'a str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forked_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_ns: Option<u64>,
    findings: Vec<Found>,
    waits_not_judged: usize,
}

#[derive(Serialize)]
struct Found {
    kind: forktrace_model::finding::HazardId,
    severity: forktrace_model::finding::Severity,
    confidence: &'static str,
    headline: &'static str,
    tid: u32,
    lock: String,
    holder: String,
}

impl Found {
    fn of(finding: &Finding, machine: Machine) -> Self {
        Found {
            kind: finding.hazard,
            severity: finding.severity,
            confidence: hang::word(finding.confidence),
            headline: hazards::words(finding.hazard).headline,
            tid: finding.subject.tid,
            lock: cells::lock(finding, machine),
            holder: cells::holder(finding, Style::default()),
        }
    }
}

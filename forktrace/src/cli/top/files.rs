//! Files that a key asks for. Each is as private as a log: it has the same owner and mode.

use std::{
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use forktrace_model::event::Event;

use crate::{
    cli::{failure::cause, output},
    export::{self, TimelineBuilder, timeline::LogEnd},
    report::{Clock, Style, caveats, hang, unjudged},
    top::Seen,
};

/// A new name in the working folder.
fn named(what: &str, extension: &str) -> PathBuf {
    let now = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S");
    format!("forktrace-{what}-{now}.{extension}").into()
}

/// Where a report is written to.
pub(super) fn report_path() -> PathBuf {
    named("report", "html")
}

/// Writes the findings about a process, and says what became of that.
pub(super) fn write_finding(seen: &Seen, clock: &Clock) -> String {
    let path = named(&seen.process.pid.to_string(), "txt");
    let style = Style { whole_stacks: true, ..Style::default() };
    let write = || -> io::Result<()> {
        let mut out = open(&path)?;
        for judged in &seen.findings {
            hang::write(&mut out, &judged.finding, style, clock)?;
            writeln!(out)?;
        }
        out.flush()
    };
    said(&path, write())
}

/// Writes what these events tell as a report, and says what became of that.
pub(super) fn write_report<'e>(path: &Path, events: impl Iterator<Item = &'e Event>) -> String {
    let mut pipeline = TimelineBuilder::pipeline();
    let write = || -> io::Result<()> {
        for event in events {
            pipeline.event(event)?;
        }
        let (waits, total) = pipeline.unaccounted();
        let model = pipeline.model();
        let waits = unjudged::lines(&waits, total, model.span_ns().1, model.machine());
        let caveats = pipeline.caveats(true);
        let shortfalls = caveats.iter().map(caveats::text).chain(waits).collect();
        let story = pipeline.finish(LogEnd { shortfalls });
        let mut out = open(path)?;
        export::html::write(&mut out, &story)?;
        out.flush()
    };
    said(path, write())
}

fn open(path: &Path) -> io::Result<BufWriter<std::fs::File>> {
    forktrace_log::open_for_writing(path, output::sudo_user()).map(BufWriter::new)
}

fn said(path: &Path, written: io::Result<()>) -> String {
    match written {
        Ok(()) => format!("written: {}", path.display()),
        Err(error) => format!("cannot write {}: {}", path.display(), cause(&error)),
    }
}

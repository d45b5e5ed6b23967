//! One line of a log: read, checked, written again, and shown.

use jiff::tz::TimeZone;

use super::{checks, log_mutator};
use crate::{
    export::{
        self,
        table::{COLUMNS, Row, Table},
    },
    report::{Clock, Style, text::Text},
};
use forktrace_log::{Checker, Line, LineKind, ReadError, Reader, Writer};
use forktrace_model::{event::Event, model::Model};

/// A line: what it says is the same after it was written and read again, and harmless wherever it is
/// shown. What is no line is an error that can be printed.
pub fn line(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let bytes = log_mutator::line(data);
    let mut checker = Checker::default();
    checker.begin();
    let mut reader = Reader::new(bytes.as_slice());
    while let Some(line) = reader.next() {
        match line {
            Ok(line) => {
                checker.line(reader.line(), &line);
                taken(&line, style(*choice));
            }
            Err(error) => refused(&error),
        }
    }
    checker.end(reader.line());
}

/// A way of showing text, chosen by a number.
pub(super) fn style(choice: u8) -> Style {
    let width = match choice & 12 {
        0 | 4 => None,
        8 => Some(20),
        _ => Some(usize::from(choice)),
    };
    let whole_stacks = choice & 64 != 0;
    Style {
        color: choice & 1 != 0,
        ascii: choice & 2 != 0,
        width,
        whole_stacks,
        counts_lines: choice & 128 != 0,
    }
}

fn refused(error: &ReadError) {
    let text = error.to_string();
    checks::terminal(text.as_bytes(), false);
    assert!(!text.contains('\n'), "{text:?}");
}

fn taken(line: &Line, style: Style) {
    let once = written(line);
    if once.is_empty() {
        return;
    }
    checks::terminal(&once, false);
    assert!(once.ends_with(b"\n") && once.iter().filter(|byte| **byte == b'\n').count() == 1);
    // As a first line it may also be reported as no beginning.
    let again = Reader::new(once.as_slice()).find_map(Result::ok);
    assert!(
        again
            .as_ref()
            .is_some_and(|again| again.kind == line.kind && again.boot_ns == line.boot_ns),
        "{line:?} became {again:?}"
    );
    match &line.kind {
        LineKind::Event(event) => {
            told(style, event);
            // To read a table takes longer than all else.
            if style.width.is_none() && style.color {
                row(event);
            }
        }
        // A finding is made again from its evidence, and never shown from its line.
        LineKind::Finding(_) | LineKind::Unknown { .. } => {}
    }
}

fn written(line: &Line) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), 0);
    let result = match &line.kind {
        LineKind::Event(event) => writer.event(event, None),
        LineKind::Finding(finding) => writer.finding(finding, line.boot_ns, None),
        LineKind::Unknown { .. } => Ok(()),
    };
    assert!(result.is_ok(), "{result:?}");
    writer.into_inner()
}

/// An event as text for people.
pub(super) fn told(style: Style, event: &Event) -> Vec<u8> {
    let mut model = Model::default();
    model.apply(event);
    shown(style, |text| text.event(event, &model))
}

/// What is written to people. Gives it.
pub(super) fn shown(
    style: Style,
    write: impl FnOnce(&mut Text<Vec<u8>>) -> std::io::Result<()>,
) -> Vec<u8> {
    let clock = Clock { offset_ns: 0, zone: TimeZone::UTC };
    let mut text = Text::new(Vec::new(), style, clock, false);
    let result = write(&mut text);
    assert!(result.is_ok(), "{result:?}");
    let out = std::mem::take(text.out());
    checks::terminal(&out, style.color);
    assert!(!style.ascii || out.is_ascii(), "not ASCII: {:?}", String::from_utf8_lossy(&out));
    out
}

/// The line as a row of a table. Gives what was written.
pub(super) fn row(event: &Event) -> Vec<u8> {
    let mut out = Vec::new();
    let result = export::csv::Writer::new(&mut out).and_then(|mut csv| {
        // The row of the event alone: one event makes no finding.
        Table::pipeline(|row: &Row| csv.row(row)).event(event)?;
        csv.finish()
    });
    assert!(result.is_ok(), "{result:?}");
    checks::csv(&out, 1, COLUMNS.len());
    out
}

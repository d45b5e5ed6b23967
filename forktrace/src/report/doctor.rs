//! What a host can do, one line per check.

use std::io::{self, Write};

use super::{
    plural,
    style::{Style, Tone, wrap},
};
use crate::check::{Check, Status};

/// Columns of the status, and of the name.
const STATUS: usize = 9;
const NAME: usize = 20;
/// Columns before what is told.
const INDENT: usize = STATUS + NAME;
/// Columns of a line where there is no terminal that says it: what fits any.
const WIDTH: usize = 80;

/// Writes the checks, and whether this host can be traced. A remedy that several checks after each
/// other share is told after the last.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut impl Write, checks: &[Check], style: Style) -> io::Result<()> {
    let width = style.width.map_or(WIDTH, |_| style.block_width());
    let room = width.saturating_sub(INDENT).max(20);
    for (check, next) in checks.iter().zip(checks.iter().skip(1).map(Some).chain([None])) {
        let (word, tone) = word(check.status);
        let status = style.paint(tone, word);
        let gap = STATUS.saturating_sub(word.len());
        for (i, line) in wrap(&style.clean(&check.detail), room, room).iter().enumerate() {
            match i {
                0 => writeln!(out, "{status}{:gap$}{:NAME$}{line}", "", check.name)?,
                _ => writeln!(out, "{:INDENT$}{line}", "")?,
            }
        }
        let told_later = next.is_some_and(|next| next.remedy == check.remedy);
        if !check.remedy.is_empty() && !told_later {
            let label = "what to do: ";
            let first = room.saturating_sub(label.len());
            let remedy = wrap(&style.clean(&check.remedy), first, room);
            for (i, line) in remedy.iter().enumerate() {
                let label = if i == 0 { style.paint(Tone::Strong, label) } else { "".into() };
                writeln!(out, "{:INDENT$}{label}{line}", "")?;
            }
        }
    }
    writeln!(out)?;
    let count = |status| checks.iter().filter(|check| check.status == status).count() as u64;
    let (missing, limited) = (count(Status::Missing), count(Status::Limited));
    let first = checks.iter().find(|check| check.status == Status::Missing);
    let sum = match (first, limited) {
        (None, 0) => "This host can be traced, and nothing is lost.".to_owned(),
        (None, n) => {
            format!("This host can be traced; {} limited.", plural(n, "thing is", "things are"))
        }
        (Some(first), _) => format!(
            "Nothing can be traced like this: {} missing; begin with the first: {}.",
            plural(missing, "thing is", "things are"),
            first.name
        ),
    };
    writeln!(out, "{sum}")
}

fn word(status: Status) -> (&'static str, Tone) {
    match status {
        Status::Ok => ("ok", Tone::Good),
        Status::Limited => ("limited", Tone::Warning),
        Status::Missing => ("missing", Tone::Alarm),
    }
}

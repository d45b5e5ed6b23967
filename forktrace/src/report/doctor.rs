//! The text of `forktrace doctor`: one line for each check.

use std::io::{self, Write};

use super::{
    plural,
    style::{Style, Tone},
    wrap,
};
use forktrace_collect::doctor::{Check, Status};

/// Columns of the status, and of the name.
const STATUS: usize = 9;
const NAME: usize = 20;
/// Columns before the detail of a check.
const INDENT: usize = STATUS + NAME;
/// Width if there is no terminal, columns.
const WIDTH: usize = 80;

/// Writes the checks, and whether this host can be traced. A remedy that consecutive checks share is
/// written once, after the last of them.
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
        let is_shared = next.is_some_and(|next| next.remedy == check.remedy);
        if !check.remedy.is_empty() && !is_shared {
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
        (None, 0) => "This host can be traced.".to_owned(),
        (None, n) => {
            format!("This host can be traced, but {} limited.", plural(n, "check is", "checks are"))
        }
        (Some(first), _) => format!(
            "Cannot trace: {} missing (first: {}).",
            plural(missing, "requirement", "requirements"),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn checks() -> Vec<Check> {
        let long = "what is lost because of it ".repeat(6);
        vec![
            Check::ok("kernel", "Linux 6.1.0-\x1b[31mred"),
            Check::limited("sched_process_fork", long.clone(), "a later kernel"),
            Check::missing("tracefs", "closed …", "run it as root, with sudo"),
            Check::missing("program-load", "not tried", "run it as root, with sudo"),
        ]
    }

    fn text(checks: &[Check], style: Style) -> String {
        let mut out = Vec::new();
        write(&mut out, checks, style).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_check_has_its_line_and_fits_80_columns() {
        let text = text(&checks(), Style::default());
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(
            text.starts_with("ok       kernel              Linux 6.1.0-\\x1b[31mred\n"),
            "{text}"
        );
        let of_checks = text.lines().filter(|line| !line.starts_with(' ') && !line.is_empty());
        assert_eq!(of_checks.count(), checks().len() + 1, "{text}");
        assert!(
            text.ends_with("Cannot trace: 2 requirements missing (first: tracefs).\n"),
            "{text}"
        );
    }

    #[test]
    fn a_shared_remedy_is_written_once_after_the_last() {
        let text = text(&checks(), Style::default());
        assert_eq!(text.matches("with sudo").count(), 1, "{text}");
        assert!(text.find("program-load") < text.find("with sudo"), "{text}");
        assert_eq!(text.matches("what to do: ").count(), 2, "{text}");
    }

    #[test]
    fn a_narrow_terminal_colour_and_ascii_are_obeyed() {
        let style = Style { color: true, ascii: true, width: Some(60), ..Style::default() };
        let text = text(&checks(), style);
        assert!(text.is_ascii(), "{text}");
        assert!(text.contains("\x1b[31m") && text.contains("missing"), "{text}");
        let shown = |line: &str| line.split('\x1b').map(|part| part.len()).sum::<usize>();
        assert!(text.lines().all(|line| shown(line) <= 60 + 3 * 5), "{text}");
    }

    #[test]
    fn the_last_line_says_whether_tracing_works() {
        let all = checks();
        let last =
            |checks: &[Check]| text(checks, Style::default()).lines().last().map(str::to_owned);
        assert_eq!(last(&all[..1]).unwrap(), "This host can be traced.");
        assert_eq!(last(&all[..2]).unwrap(), "This host can be traced, but 1 check is limited.");
    }
}

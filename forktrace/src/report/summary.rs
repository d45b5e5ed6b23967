//! What is printed at the end: the tree, the counts, and how far the result can be trusted.

use std::io::{self, Write};

use super::{
    Style, count, kinds, plural,
    style::{Tone, wrap},
    tree,
};
use crate::{
    finding::{Confidence, Finding},
    model::{Counts, Process},
    verdict::Judged,
};

/// Column at which a row's text begins.
const COLUMN: usize = 13;

/// Everything that a summary is made from.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// All processes of the trace, see [`crate::model::Model::all`].
    pub processes: &'a [Process],
    /// Totals, see [`crate::model::Model::counts`].
    pub counts: &'a Counts,
    /// The time from the first event to the last, `CLOCK_BOOTTIME`, ns; see
    /// [`crate::model::Model::span_ns`].
    pub span_ns: (u64, u64),
    /// The findings that are shown.
    pub findings: &'a [Judged],
    /// How many suspects are not shown.
    pub hidden: u64,
    /// What else makes the result incomplete, a sentence each: a table that was full, a cut log.
    pub shortfalls: &'a [String],
}

impl<'a> Summary<'a> {
    fn found(&self) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().map(|judged| &judged.finding)
    }
}

/// Writes the summary.
pub fn write(w: &mut impl Write, summary: &Summary<'_>, style: Style) -> io::Result<()> {
    if !summary.processes.is_empty() {
        let Summary { processes, findings, span_ns, .. } = *summary;
        writeln!(w, "{}", tree::draw(processes, findings, span_ns, style))?;
    }
    totals(w, summary, style)?;
    writeln!(w)?;
    conclusion(w, summary, style)
}

fn number(summary: &Summary<'_>, confidence: Confidence) -> u64 {
    summary.found().filter(|finding| finding.confidence == confidence).count() as u64
}

fn totals(w: &mut impl Write, summary: &Summary<'_>, style: Style) -> io::Result<()> {
    let counts = summary.counts;
    let made = format!(
        "{}, {}, {}, {}, {}",
        plural(counts.forks, "fork", "forks"),
        plural(counts.vforks, "vfork", "vforks"),
        plural(counts.threads, "thread", "threads"),
        plural(counts.execs, "exec", "execs"),
        plural(counts.exits, "exit", "exits"),
    );
    row(w, style, "seen", Tone::Plain, &made)?;
    row(w, style, "long waits", Tone::Plain, &count(counts.long_waits))?;
    let suspects = number(summary, Confidence::Suspect);
    let mut findings = format!(
        "{} certain, {} likely",
        count(number(summary, Confidence::Certain)),
        count(number(summary, Confidence::Likely)),
    );
    if suspects > 0 {
        findings.push_str(&format!(", {}", plural(suspects, "suspect", "suspects")));
    }
    if summary.hidden > 0 {
        let hidden = plural(summary.hidden, "suspect", "suspects");
        let them = if summary.hidden == 1 { "it" } else { "them" };
        findings.push_str(&format!(" ({hidden} hidden: --suspects shows {them})"));
    }
    row(w, style, "findings", Tone::Plain, &findings)?;
    let tone = if counts.lost > 0 { Tone::Alarm } else { Tone::Plain };
    row(w, style, "events lost", tone, &count(counts.lost))
}

fn row(w: &mut impl Write, style: Style, label: &str, tone: Tone, text: &str) -> io::Result<()> {
    let room = style.block_width() - COLUMN;
    let mut label = format!("{label:<COLUMN$}");
    for line in wrap(text, room, room) {
        writeln!(w, "{}{}", style.paint(Tone::Dim, &label), style.paint(tone, &line))?;
        label = " ".repeat(COLUMN);
    }
    Ok(())
}

fn conclusion(w: &mut impl Write, summary: &Summary<'_>, style: Style) -> io::Result<()> {
    let incomplete = incomplete(summary, style);
    let (tone, text) = match hanging(summary) {
        Some((tone, text)) => (tone, text),
        None if !incomplete.is_empty() => (Tone::Warning, "no hang was shown".to_owned()),
        None if summary.hidden > 0 => {
            let (suspects, is) = match summary.hidden {
                1 => ("a suspect".to_owned(), "is"),
                many => (format!("{} suspects", count(many)), "are"),
            };
            let text = format!("no hang was shown, but {suspects} {is} hidden (--suspects)");
            (Tone::Warning, text)
        }
        None => {
            let looked_at = format!(
                "{} and {} were looked at",
                plural(summary.processes.len() as u64, "process", "processes"),
                plural(summary.counts.long_waits, "long wait", "long waits"),
            );
            (Tone::Good, format!("no child hangs on an inherited lock: {looked_at}"))
        }
    };
    paragraph(w, style, tone, &text)?;
    for sentence in incomplete {
        paragraph(w, style, Tone::Warning, &sentence)?;
    }
    Ok(())
}

/// The sentence about processes that hang, where there are any to be shown.
fn hanging(summary: &Summary<'_>) -> Option<(Tone, String)> {
    let stuck = |least: Confidence| {
        let pids = summary.found().filter(|f| f.confidence == least).map(|f| f.pid);
        let mut pids: Vec<_> = pids.collect();
        pids.sort_unstable();
        pids.dedup();
        pids.len() as u64
    };
    let verbs = |n: u64| if n == 1 { "hangs" } else { "hang" };
    let certain = stuck(Confidence::Certain);
    let likely = stuck(Confidence::Likely);
    let suspect = stuck(Confidence::Suspect);
    let (tone, n, surely) = match (certain, likely, suspect) {
        (0, 0, 0) => return None,
        (0, 0, n) => (Tone::Strong, n, " perhaps"),
        (0, n, _) => (Tone::Warning, n, " probably"),
        (n, ..) => (Tone::Alarm, n, ""),
    };
    let children = plural(n, "child", "children");
    let least = match (certain, likely) {
        (0, 0) => Confidence::Suspect,
        (0, _) => Confidence::Likely,
        _ => Confidence::Certain,
    };
    let how = kinds::together(summary.found().filter(|f| f.confidence == least));
    Some((tone, format!("{children}{surely} {}{how}", verbs(n))))
}

/// Why the result is incomplete, a sentence each.
fn incomplete(summary: &Summary<'_>, style: Style) -> Vec<String> {
    let mut sentences = Vec::new();
    let lost = summary.counts.lost;
    if lost > 0 {
        let events = plural(lost, "event was", "events were");
        sentences.push(format!(
            "{events} lost, so this result is incomplete: processes may be missing, and a hang \
             may have been missed"
        ));
    }
    sentences.extend(summary.shortfalls.iter().map(|text| style.clean(text).into_owned()));
    sentences
}

fn paragraph(w: &mut impl Write, style: Style, tone: Tone, text: &str) -> io::Result<()> {
    let room = style.block_width();
    for line in wrap(text, room, room) {
        writeln!(w, "{}", style.paint(tone, &line))?;
    }
    Ok(())
}

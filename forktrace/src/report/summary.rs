//! What is printed at the end: the tree, the counts, and how far the result can be trusted.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{
    Style, count, kinds, plural,
    style::{Tone, wrap},
    tree,
};
use crate::{
    finding::{Confidence, Finding},
    model::{Counts, Process},
    verdict::{Forgotten, Judged},
};

/// Column at which a row's text begins.
const COLUMN: usize = 13;
/// How many processes that hang are named in the conclusion, at most.
const MOST_NAMES: usize = 8;
/// Label of the row that says how many events were lost.
const LOST: &str = "events lost";

/// Everything that a summary is made from.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// All processes of the trace, see [`crate::model::Model::all`].
    pub processes: &'a [Process],
    /// How many processes there were in all, see [`crate::model::Model::seen`].
    pub seen: u64,
    /// Those that are no longer kept and stand below none of `processes`.
    pub forgotten: u64,
    /// Totals, see [`crate::model::Model::counts`].
    pub counts: &'a Counts,
    /// The time from the first event to the last, `CLOCK_BOOTTIME`, ns; see
    /// [`crate::model::Model::span_ns`].
    pub span_ns: (u64, u64),
    /// The findings that are shown.
    pub findings: &'a [Judged],
    /// How many more there were, see [`crate::verdict::Judge::forgotten`].
    pub earlier: Forgotten,
    /// How many suspects are not shown.
    pub hidden: u64,
    /// What else makes the result incomplete, a sentence each: a table that was full, a cut log.
    pub shortfalls: &'a [String],
    /// What was recorded, a sentence a log; whether lines are missing in it.
    pub recorded: &'a [(String, bool)],
}

/// What the words of a summary are made from.
#[derive(Clone, Debug)]
pub struct Totals<'a> {
    /// How many processes there were.
    pub processes: u64,
    /// Totals of events.
    pub counts: &'a Counts,
    /// The findings that are shown.
    pub findings: Vec<&'a Finding>,
    /// How many more there were that would be.
    pub earlier: Forgotten,
    /// How many suspects are not shown.
    pub hidden: u64,
    /// How the hidden ones are shown.
    pub remedy: &'static str,
    /// What else makes the result incomplete, a sentence each.
    pub shortfalls: &'a [String],
}

/// Writes the summary.
pub fn write(w: &mut impl Write, summary: &Summary<'_>, style: Style) -> io::Result<()> {
    if !summary.processes.is_empty() {
        let Summary { processes, forgotten, findings, span_ns, .. } = *summary;
        writeln!(w, "{}", tree::draw(processes, forgotten, findings, span_ns, style))?;
    }
    let totals = Totals {
        processes: summary.seen,
        counts: summary.counts,
        findings: summary.findings.iter().map(|judged| &judged.finding).collect(),
        earlier: summary.earlier,
        hidden: summary.hidden,
        remedy: "--suspects",
        shortfalls: summary.shortfalls,
    };
    for (label, text) in totals.rows() {
        let lost = label == LOST && summary.counts.lost > 0;
        row(w, style, label, if lost { Tone::Alarm } else { Tone::Plain }, &text)?;
    }
    for (recorded, lines_missing) in summary.recorded {
        let tone = if *lines_missing { Tone::Alarm } else { Tone::Plain };
        row(w, style, "recorded", tone, &style.clean(recorded))?;
    }
    writeln!(w)?;
    for (tone, text) in totals.conclusion(style) {
        paragraph(w, style, tone, &text)?;
    }
    Ok(())
}

impl<'a> Totals<'a> {
    fn number(&self, confidence: Confidence) -> u64 {
        let kept = self.findings.iter().filter(|finding| finding.confidence == confidence).count();
        kept as u64 + self.earlier.of(confidence)
    }

    /// What was counted: label and text of each row.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let counts = self.counts;
        let made = format!(
            "{}, {}, {}, {}, {}",
            plural(counts.forks, "fork", "forks"),
            plural(counts.vforks, "vfork", "vforks"),
            plural(counts.threads, "thread", "threads"),
            plural(counts.execs, "exec", "execs"),
            plural(counts.exits, "exit", "exits"),
        );
        let suspects = self.number(Confidence::Suspect);
        let mut findings = format!(
            "{} certain, {} likely",
            count(self.number(Confidence::Certain)),
            count(self.number(Confidence::Likely)),
        );
        if suspects > 0 {
            findings.push_str(&format!(", {}", plural(suspects, "suspect", "suspects")));
        }
        if self.hidden > 0 {
            let hidden = plural(self.hidden, "suspect", "suspects");
            let them = if self.hidden == 1 { "it" } else { "them" };
            findings.push_str(&format!(" ({hidden} hidden: {} shows {them})", self.remedy));
        }
        vec![
            ("seen", made),
            ("long waits", count(counts.long_waits)),
            ("findings", findings),
            (LOST, count(counts.lost)),
        ]
    }

    /// What it comes to, a sentence each: whether anything hangs first, then why that may not be
    /// all.
    pub(crate) fn conclusion(&self, style: Style) -> Vec<(Tone, String)> {
        let incomplete = self.incomplete(style);
        let first = match self.hanging(style) {
            Some(hanging) => hanging,
            None if self.hidden > 0 => {
                let (suspects, is) = match self.hidden {
                    1 => ("a suspect".to_owned(), "is"),
                    many => (format!("{} suspects", count(many)), "are"),
                };
                let remedy = self.remedy;
                let text = format!("no hang was shown, but {suspects} {is} hidden ({remedy})");
                (Tone::Warning, text)
            }
            None if !incomplete.is_empty() => (Tone::Warning, "no hang was shown".to_owned()),
            None if self.processes == 0 => {
                (Tone::Warning, "no hang was shown: no process was looked at".to_owned())
            }
            None => {
                let looked_at = format!(
                    "{} and {} were looked at",
                    plural(self.processes, "process", "processes"),
                    plural(self.counts.long_waits, "long wait", "long waits"),
                );
                (Tone::Good, format!("no child hangs on an inherited lock: {looked_at}"))
            }
        };
        let incomplete = incomplete.into_iter().map(|sentence| (Tone::Warning, sentence));
        std::iter::once(first).chain(incomplete).collect()
    }

    /// The sentence about processes that hang, where there are any to be shown.
    fn hanging(&self, style: Style) -> Option<(Tone, String)> {
        let [certain, likely, suspect] =
            [Confidence::Certain, Confidence::Likely, Confidence::Suspect].map(|c| self.stuck(c));
        // Of what is forgotten, each finding counts as a process.
        let number =
            |stuck: &BTreeMap<_, _>, confidence| stuck.len() as u64 + self.earlier.of(confidence);
        let (stuck, confidence, tone, surely) = [
            (&certain, Confidence::Certain, Tone::Alarm, ""),
            (&likely, Confidence::Likely, Tone::Warning, " probably"),
            (&suspect, Confidence::Suspect, Tone::Strong, " perhaps"),
        ]
        .into_iter()
        .find(|(stuck, confidence, ..)| number(stuck, *confidence) > 0)?;
        let n = number(stuck, confidence);
        let children = plural(n, "child", "children");
        let hang = if n == 1 { "hangs" } else { "hang" };
        let alike = self.findings.iter().copied().filter(|f| f.confidence == confidence);
        let how = kinds::together(alike);
        let mut said = format!("{children}{surely} {hang}{how}{}", names(stuck, n, style));
        let mut others = likely.clone();
        others.retain(|pid, _| !certain.contains_key(pid));
        if confidence == Confidence::Certain && !others.is_empty() {
            let more = others.len() as u64;
            said.push_str(&format!("; {} more probably", count(more)));
            said.push_str(&names(&others, more, style));
        }
        Some((tone, said))
    }

    /// The processes that have a finding of one confidence, by pid, with their names.
    fn stuck(&self, confidence: Confidence) -> BTreeMap<u32, &'a str> {
        let alike = self.findings.iter().filter(|finding| finding.confidence == confidence);
        alike.map(|finding| (finding.pid, finding.comm.as_str())).collect()
    }

    /// Why the result is incomplete, a sentence each.
    fn incomplete(&self, style: Style) -> Vec<String> {
        let mut sentences = Vec::new();
        let lost = self.counts.lost;
        if lost > 0 {
            let events = plural(lost, "event was", "events were");
            sentences.push(format!(
                "{events} lost, so this result is incomplete: processes may be missing, and a \
                 hang may have been missed"
            ));
        }
        sentences.extend(self.shortfalls.iter().map(|text| style.clean(text).into_owned()));
        sentences
    }
}

/// `: name[pid], …`, of the first few of `all`.
fn names(stuck: &BTreeMap<u32, &str>, all: u64, style: Style) -> String {
    let name = |(pid, comm): (&u32, &&str)| format!("{}[{pid}]", style.clean(comm));
    let mut names: Vec<String> = stuck.iter().take(MOST_NAMES).map(name).collect();
    if names.is_empty() {
        return String::new();
    }
    let others = all.saturating_sub(names.len() as u64);
    if others > 0 {
        names.push(format!("and {}", plural(others, "other", "others")));
    }
    format!(": {}", names.join(", "))
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

fn paragraph(w: &mut impl Write, style: Style, tone: Tone, text: &str) -> io::Result<()> {
    let room = style.block_width();
    for line in wrap(text, room, room) {
        writeln!(w, "{}", style.paint(tone, &line))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{finding::Kind, report::kinds::tests::finding};

    #[test]
    fn the_conclusion_names_the_first_that_hang() {
        let about = |pid: u32, confidence: Confidence| Finding {
            pid,
            confidence,
            ..finding(Kind::InheritedLock, 1)
        };
        let mut findings: Vec<Finding> = (1..=10).map(|n| about(n, Confidence::Certain)).collect();
        // Another thread of the same process is no other process.
        findings.extend([about(3, Confidence::Likely), about(44, Confidence::Likely)]);
        let totals = Totals {
            processes: 60,
            counts: &Counts::default(),
            findings: findings.iter().collect(),
            earlier: Forgotten { certain: 1, ..Forgotten::default() },
            hidden: 0,
            remedy: "",
            shortfalls: &[],
        };
        let said = totals.conclusion(Style::default()).remove(0).1;
        assert_eq!(
            said,
            "11 children hang on an inherited lock: worker[1], worker[2], worker[3], worker[4], worker[5], worker[6], \
             worker[7], worker[8], and 3 others; 1 more probably: worker[44]"
        );
    }
}

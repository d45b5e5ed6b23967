//! The end of the output: the tree, the counts, the result and its caveats.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use super::{
    Style, count, hang, hazards, plural, shared, style::Tone, threads, tree, unjudged, wrap,
};
use crate::pipeline::conclusion::Coverage;
use forktrace_model::{
    event::ThreadedForks,
    finding::{Confidence, Finding, Severity},
    judge::{Forgotten, Judged},
    model::{Counts, Process},
};

/// Column of a row's text.
const COLUMN: usize = 13;
/// Processes named in the result, at most.
const MOST_NAMES: usize = 8;
/// The result if no child hangs and nothing limits that result.
const ALL_CLEAR: &str = "no child hangs";
/// Begins the result if no hang was found, but one may be there.
const NO_HANG: &str = "no hang found";
/// Comes before the caveats.
const INCOMPLETE: &str = "this result is incomplete:";

/// The input of a summary.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// All processes of the trace, see [`forktrace_model::model::Model::all`].
    pub processes: &'a [Process],
    /// Number of all processes, see [`forktrace_model::model::Model::seen`].
    pub seen: u64,
    /// Number of processes that were forgotten and have no ancestor in `processes`.
    pub forgotten: u64,
    /// Event totals, see [`forktrace_model::model::Model::counts`].
    pub counts: &'a Counts,
    /// The time from the first event to the last, `CLOCK_BOOTTIME`, ns; see
    /// [`forktrace_model::model::Model::span_ns`].
    pub span_ns: (u64, u64),
    /// The findings that are shown.
    pub findings: &'a [Judged],
    /// Number of findings that were forgotten, see [`forktrace_model::judge::Judge::forgotten`].
    pub earlier: Forgotten,
    /// Number of processes with suspects that are not shown.
    pub hidden: u64,
    /// Print only the result.
    pub quiet: bool,
    /// Other caveats of the result, one sentence each: a full table, a cut log.
    pub shortfalls: &'a [String],
    /// The waits that were not judged, and how many there are.
    pub unjudged: (&'a [String], u64),
    /// What was accounted for.
    pub coverage: Coverage,
    /// The processes that forked beside other threads.
    pub threaded_forks: &'a [ThreadedForks],
    /// One sentence for each recorded log, and whether lines are missing in it.
    pub recorded: &'a [(String, bool)],
}

/// The numbers and findings of a summary.
#[derive(Clone, Debug)]
pub struct Totals<'a> {
    /// Number of processes.
    pub processes: u64,
    /// Event totals.
    pub counts: &'a Counts,
    /// The findings that are shown.
    pub findings: Vec<&'a Finding>,
    /// Processes that still hang, or hung until they ended.
    pub waiting: BTreeSet<u32>,
    /// Number of findings that were forgotten.
    pub earlier: Forgotten,
    /// Number of processes with suspects that are not shown.
    pub hidden: u64,
    /// The option or control that shows them.
    pub remedy: &'static str,
    /// Other caveats of the result, one sentence each.
    pub shortfalls: &'a [String],
    /// The waits that were not judged, see [`unjudged::lines`], and how many there are.
    pub unjudged: (&'a [String], u64),
    /// What was accounted for.
    pub coverage: Coverage,
    /// The processes that forked beside other threads.
    pub threaded_forks: &'a [ThreadedForks],
}

/// Writes the summary.
pub fn write(w: &mut impl Write, summary: &Summary<'_>, style: Style) -> io::Result<()> {
    if !summary.quiet && !summary.processes.is_empty() {
        let Summary { processes, forgotten, findings, span_ns, .. } = *summary;
        writeln!(w, "{}", tree::draw(processes, forgotten, findings, span_ns, style))?;
    }
    let waiting = summary.findings.iter().filter(|judged| judged.ended_after_ns.is_none());
    let totals = Totals {
        processes: summary.seen,
        counts: summary.counts,
        findings: summary.findings.iter().map(|judged| &judged.finding).collect(),
        waiting: waiting.map(|judged| judged.finding.subject.pid).collect(),
        earlier: summary.earlier,
        hidden: summary.hidden,
        remedy: "--suspects",
        shortfalls: summary.shortfalls,
        unjudged: summary.unjudged,
        coverage: summary.coverage,
        threaded_forks: summary.threaded_forks,
    };
    let rows = if summary.quiet { Vec::new() } else { totals.rows(style) };
    for (label, tone, text) in rows {
        row(w, style, label, tone, &text)?;
    }
    // --quiet does not hide that a recording is incomplete.
    let is_shown = |(_, lines_missing): &&(String, bool)| !summary.quiet || *lines_missing;
    for (recorded, lines_missing) in summary.recorded.iter().filter(is_shown) {
        let tone = if *lines_missing { Tone::Alarm } else { Tone::Plain };
        row(w, style, "recorded", tone, &style.clean(recorded))?;
    }
    if !summary.quiet {
        writeln!(w)?;
    }
    for (tone, text) in totals.conclusion(style) {
        paragraph(w, style, tone, &text)?;
    }
    Ok(())
}

impl<'a> Totals<'a> {
    /// Number of processes whose strongest finding has this confidence. Each forgotten finding
    /// counts as one process.
    fn number(&self, confidence: Confidence) -> u64 {
        self.stuck(confidence).len() as u64 + self.earlier.of(confidence)
    }

    /// The counts: label, tone and text of each row.
    pub(crate) fn rows(&self, style: Style) -> Vec<(&'static str, Tone, String)> {
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
        let threads: BTreeSet<_> = self.hangs().map(|f| (f.subject.pid, f.subject.tid)).collect();
        let processes: BTreeSet<_> = threads.iter().map(|(pid, _)| pid).collect();
        if threads.len() > processes.len() {
            let earlier = [Confidence::Certain, Confidence::Likely, Confidence::Suspect]
                .map(|confidence| self.earlier.of(confidence));
            let all = |kept: usize| kept as u64 + earlier.iter().sum::<u64>();
            findings.push_str(&format!(
                " ({}, {})",
                plural(all(processes.len()), "process", "processes"),
                plural(all(threads.len()), "thread", "threads"),
            ));
        }
        if self.hidden > 0 {
            let hidden = plural(self.hidden, "suspect", "suspects");
            let them = if self.hidden == 1 { "it" } else { "them" };
            findings.push_str(&format!(" ({hidden} hidden: show {them} with {})", self.remedy));
        }
        if let Some(others) = self.others() {
            findings.push_str(&format!("; {others}"));
        }
        let lost = if counts.lost > 0 { Tone::Alarm } else { Tone::Plain };
        let mut rows = vec![("seen", Tone::Plain, made)];
        if let Some(forks) = threads::forks_beside(self.threaded_forks, style) {
            rows.push(("threads", Tone::Plain, forks));
        }
        rows.extend([
            ("long waits", Tone::Plain, count(counts.long_waits)),
            ("findings", Tone::Plain, findings),
            ("events lost", lost, count(counts.lost)),
        ]);
        rows
    }

    /// The result, one sentence each: first what is wrong, then the caveats.
    pub(crate) fn conclusion(&self, style: Style) -> Vec<(Tone, String)> {
        let incomplete = self.incomplete(style);
        let (hanging, spoiled) = (self.hanging(style), self.spoiled(style));
        let others = self.others_named(style);
        // The first sentence is the heading of the caveats if it has nothing else to show.
        let is_wrong = hanging.is_some() || spoiled.is_some();
        let is_heading = !is_wrong && others.is_none() && self.hidden == 0;
        let no_hang = match hanging {
            Some(_) => None,
            None if self.hidden > 0 => {
                let suspects = plural(self.hidden, "suspect is", "suspects are");
                let them = if self.hidden == 1 { "it" } else { "them" };
                let remedy = self.remedy;
                let text = format!("{NO_HANG}, but {suspects} hidden: show {them} with {remedy}");
                Some((Tone::Warning, text))
            }
            None if !incomplete.is_empty() && is_heading => {
                Some((Tone::Warning, format!("{NO_HANG}, but {INCOMPLETE}")))
            }
            None if !incomplete.is_empty() => Some((Tone::Warning, NO_HANG.to_owned())),
            None if self.processes == 0 => {
                Some((Tone::Warning, format!("{NO_HANG}, but no process was checked")))
            }
            None => {
                let tone = if is_wrong { Tone::Plain } else { Tone::Good };
                Some((tone, format!("{ALL_CLEAR}: {}", self.accounted())))
            }
        };
        let first = hanging.into_iter().chain(spoiled).chain(no_hang);
        let heading = (!incomplete.is_empty() && !is_heading).then(|| INCOMPLETE.to_owned());
        let (waits, total) = self.unjudged;
        let named = (!waits.is_empty()).then(|| unjudged::heading(total));
        let named =
            named.into_iter().chain(waits.iter().map(|wait| format!("- {}", style.clean(wait))));
        let rest = others.into_iter().chain(heading).chain(incomplete).chain(named);
        let rest = rest.map(|sentence| (Tone::Warning, sentence));
        first.chain(rest).collect()
    }

    /// What an all-clear covers.
    fn accounted(&self) -> String {
        let Coverage { children, older, threads, waiting } = self.coverage;
        let mut whom = Vec::new();
        if children > 0 || older == 0 {
            whom.push(format!(
                "{} with {}",
                plural(children, "forked child", "forked children"),
                plural(threads, "thread", "threads"),
            ));
        }
        if older > 0 {
            whom.push(plural(older, "older process", "older processes"));
        }
        let mut text = format!("accounted for {}", whom.join(" and "));
        if waiting > 0 {
            let them = if waiting == 1 { "its wait" } else { "their waits" };
            let waits = plural(waiting, "thread waits", "threads wait");
            text.push_str(&format!("; {waits}, and something that can run could end {them}"));
        }
        text
    }

    /// The findings about tasks that can never go on.
    fn hangs(&self) -> impl Iterator<Item = &'a Finding> {
        self.findings.iter().copied().filter(|finding| finding.severity == Severity::Hang)
    }

    /// The numbers of findings of other severities, if there are any.
    fn others(&self) -> Option<String> {
        let of = |confidence| {
            let others = self.findings.iter().filter(|finding| finding.severity != Severity::Hang);
            others.filter(|finding| finding.confidence == confidence).count() as u64
        };
        let parts = [Confidence::Certain, Confidence::Likely, Confidence::Suspect];
        let parts = parts.map(|confidence| (of(confidence), hang::word(confidence))).into_iter();
        let parts: Vec<String> =
            parts.filter(|(n, _)| *n > 0).map(|(n, word)| format!("{} {word}", count(n))).collect();
        (!parts.is_empty()).then(|| format!("no hang: {}", parts.join(", ")))
    }

    /// The sentence about data that goes wrong, if any does.
    fn spoiled(&self, style: Style) -> Option<(Tone, String)> {
        let mut said = String::new();
        let mut tone = None;
        for (confidence, own, first, more) in [
            (Confidence::Certain, Tone::Alarm, "data goes wrong", ""),
            (Confidence::Likely, Tone::Warning, "data probably goes wrong", "; probably also"),
            (Confidence::Suspect, Tone::Strong, "data may go wrong", "; perhaps also"),
        ] {
            let alike = |finding: &Finding| {
                finding.severity == Severity::Corruption && finding.confidence == confidence
            };
            let Some((_, named)) = self.named(alike, style) else { continue };
            said.push_str(&format!("{}: {named}", if tone.is_none() { first } else { more }));
            tone = tone.or(Some(own));
        }
        Some((tone?, said))
    }

    /// The sentence about what is wrong without a hang or spoiled data, if there is anything.
    fn others_named(&self, style: Style) -> Option<String> {
        let (n, named) = self.named(|finding| finding.severity == Severity::Risk, style)?;
        Some(format!("{}: {named}", plural(n, "other hazard", "other hazards")))
    }

    /// How many findings these are, by process and hazard, and the first of them.
    fn named(&self, which: impl Fn(&Finding) -> bool, style: Style) -> Option<(u64, String)> {
        let name = |finding: &&Finding| {
            let subject = &finding.subject;
            let about = match finding.descriptor() {
                Some(descriptor) => format!("shares {}", shared::what(descriptor, style)),
                None => hazards::words(finding.hazard).headline.to_owned(),
            };
            format!("{}[{}] ({about})", style.clean(&subject.comm), subject.pid)
        };
        let all: BTreeSet<String> = self
            .findings
            .iter()
            .copied()
            .filter(|finding| which(finding))
            .map(|f| name(&f))
            .collect();
        let shown: Vec<&str> = all.iter().take(MOST_NAMES).map(String::as_str).collect();
        let more = match all.len() - shown.len() {
            0 => String::new(),
            more => format!(", and {}", plural(more as u64, "other", "others")),
        };
        (!all.is_empty()).then(|| (all.len() as u64, format!("{}{more}", shown.join(", "))))
    }

    /// The sentence about processes that hang, if there are any.
    fn hanging(&self, style: Style) -> Option<(Tone, String)> {
        let mut parts = [
            (Confidence::Certain, Tone::Alarm, ""),
            (Confidence::Likely, Tone::Warning, " probably"),
            (Confidence::Suspect, Tone::Strong, " perhaps"),
        ]
        .into_iter()
        .map(|(confidence, tone, surely)| (confidence, tone, surely, self.number(confidence)))
        .filter(|(.., n)| *n > 0);
        let (confidence, tone, surely, n) = parts.next()?;
        let children = plural(n, "child", "children");
        let all: BTreeSet<u32> = self.hangs().map(|finding| finding.subject.pid).collect();
        let over = all.difference(&self.waiting).count();
        let hang = match (over == all.len() && over > 0, n) {
            (true, _) => "hung",
            (false, 1) => "hangs",
            (false, _) => "hang",
        };
        let alike = self.hangs().filter(|f| f.confidence == confidence);
        let how = hazards::together(alike);
        let names = |confidence, n| names(&self.stuck(confidence), n, style);
        let mut said = format!("{children}{surely} {hang}{how}{}", names(confidence, n));
        for (confidence, _, surely, n) in parts {
            said.push_str(&format!("; {} more{surely}{}", count(n), names(confidence, n)));
        }
        said.push_str(&match over {
            0 => String::new(),
            1 if all.len() == 1 => "; it later resumed".to_owned(),
            all_over if all_over == all.len() => "; all of them later resumed".to_owned(),
            some => format!("; {} of them later resumed", count(some as u64)),
        });
        if self.hidden > 0 {
            let suspects = plural(self.hidden, "suspect is", "suspects are");
            let them = if self.hidden == 1 { "it" } else { "them" };
            said.push_str(&format!("; {suspects} hidden: show {them} with {}", self.remedy));
        }
        Some((tone, said))
    }

    /// Pid and name of the processes whose strongest finding has this confidence.
    fn stuck(&self, confidence: Confidence) -> BTreeMap<u32, &'a str> {
        let surer = self.hangs().filter(|finding| finding.confidence > confidence);
        let surer: BTreeSet<u32> = surer.map(|finding| finding.subject.pid).collect();
        let alike = self.hangs().filter(|finding| finding.confidence == confidence);
        let alike = alike.filter(|finding| !surer.contains(&finding.subject.pid));
        alike.map(|finding| (finding.subject.pid, finding.subject.comm.as_str())).collect()
    }

    /// Why the result is incomplete, one sentence each.
    fn incomplete(&self, style: Style) -> Vec<String> {
        let mut sentences = Vec::new();
        let lost = self.counts.lost;
        if lost > 0 {
            let events = plural(lost, "event was", "events were");
            sentences.push(format!(
                "{events} lost: processes may be missing, and a hang may not have been found"
            ));
        }
        sentences.extend(self.shortfalls.iter().map(|text| style.clean(text).into_owned()));
        sentences
    }
}

/// `: name[pid], …` of the first few processes. `all`: the number of all.
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
mod tests;

//! The HANG block: one finding, with its proof and what to do.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    Clock, Style, advice, buffers, duration, file_lock, generators, hazards, lost_work, plural,
    proofs, python, rounded_up, shared, stacks, stall, stuck, style::Tone, threads,
    unobserved_fork, wrap,
};
use forktrace_model::{
    event::Task,
    finding::{Confidence, Detail, Finding, ForkInfo, ForkSite, Rule, WaitDetail},
};

/// Column of a row's text.
pub(super) const COLUMN: usize = 14;
/// Column of a header's second line.
const HEADER_COLUMN: usize = 6;
/// Tasks shown that wait for the stuck one.
const WAITERS: usize = 4;
/// Processes shown that hang on the same lock.
const PIDS: usize = 8;

/// The text of a HANG block, before it is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The task that is stuck, for how long, and whether it can wake up.
    pub header: String,
    /// The confidence: `certain`, `likely` or `suspect`.
    pub sure: &'static str,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A row of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its label. Empty: it continues the row before it.
    pub label: &'static str,
    /// Its text.
    pub text: String,
    /// What it is about.
    pub kind: RowKind,
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowKind {
    /// A fact.
    Fact,
    /// Where the task is stuck.
    Place,
    /// What to do.
    Advice,
}

impl RowKind {
    fn rows(
        self,
        rows: impl IntoIterator<Item = (&'static str, String)>,
    ) -> impl Iterator<Item = Row> {
        rows.into_iter().map(move |(label, text)| Row { label, text, kind: self })
    }
}

impl Block {
    /// The block of one finding.
    pub fn new(finding: &Finding, style: Style, clock: &Clock) -> Self {
        let mut rows = Vec::new();
        if let Some(ns_pid) = finding.subject.ns_pid {
            rows.push(("namespace", format!("pid {ns_pid} in its own pid namespace")));
        }
        if let Some(wait) = finding.wait() {
            rows.extend(hazards::rows(finding, wait, style).unwrap_or_else(|| {
                [
                    ("waits for", waits_for(finding, wait, style)),
                    ("held by", held_by(finding, wait, style)),
                ]
            }));
        }
        if let Some(stall) = finding.stall() {
            rows.extend(stall::rows(stall, style));
        }
        if let Some(threads) = finding.threads() {
            rows.extend(lost_work::rows(finding, threads, style));
        }
        if let Some(detail) = finding.generators() {
            rows.extend(generators::rows(detail, style));
        }
        if let Some(detail) = finding.buffers() {
            rows.extend(buffers::rows(detail, style));
        }
        if let Some(descriptor) = finding.descriptor() {
            rows.extend(shared::rows(finding, descriptor, style, clock));
        }
        if let Some(lock) = finding.file_lock() {
            rows.extend(file_lock::rows(finding, lock, style, clock));
        }
        if let Some(detail) = finding.signals() {
            rows.extend(file_lock::signal_rows(detail));
        }
        if !finding.waited_by.is_empty() {
            rows.push(("holds up", waited_by(finding, style)));
        }
        // Other hazards are not always about a process that was forked.
        if finding.wait().is_some() || finding.fork != ForkInfo::None {
            rows.push(("forked", forked(finding, style, clock)));
        }
        let mut rows: Vec<Row> = RowKind::Fact.rows(rows).collect();
        rows.extend(RowKind::Place.rows(stuck::rows(finding, style)));
        let mut last = Vec::new();
        let proof = proof(finding, style);
        if !proof.is_empty() {
            last.push(("proof", proof));
        }
        if !finding.same_fault_in.is_empty() {
            last.push(("also in", also_in(finding)));
        }
        rows.extend(RowKind::Fact.rows(last));
        let advice = finding.remedy.map(advice::text);
        let advice = advice.map(|text| ("what to do", style.clean(text).into_owned()));
        rows.extend(RowKind::Advice.rows(advice));
        Block { header: who(finding, style), sure: word(finding.confidence), rows }
    }
}

/// Writes the block of one finding.
pub fn write(w: &mut impl Write, finding: &Finding, style: Style, clock: &Clock) -> io::Result<()> {
    header(w, finding, style)?;
    for Row { label, text, .. } in Block::new(finding, style, clock).rows {
        row(w, style, label, &text)?;
    }
    Ok(())
}

/// Writes the block of a finding that has become surer: what has been said with less confidence is not said
/// again.
pub(super) fn write_surer(
    w: &mut impl Write,
    finding: &Finding,
    before: Confidence,
    style: Style,
) -> io::Result<()> {
    header(w, finding, style)?;
    row(w, style, "surer", &format!("this was {} above; more is known now", word(before)))?;
    if let Some(shared) = finding.descriptor() {
        for (label, text) in shared::uses(finding, shared, style) {
            row(w, style, label, &text)?;
        }
    }
    row(w, style, "proof", &proof(finding, style))
}

/// What the conclusion rests on, in one line.
fn proof(finding: &Finding, style: Style) -> String {
    let proofs = proofs::of(finding).map(|text| style.clean(&text).into_owned());
    proofs.collect::<Vec<_>>().join("; ")
}

/// Tasks that wait for the end of the process.
fn waited_by(finding: &Finding, style: Style) -> String {
    let name = |task: &Task| threads::task(task, style);
    let shown: Vec<String> = finding.waited_by.iter().take(WAITERS).map(name).collect();
    let more = match finding.waited_by.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let waits = if finding.waited_by.len() == 1 { "waits" } else { "wait" };
    format!("{}{more}, which {waits} for the end of this process", shown.join(", "))
}

/// The other processes that hang on the same lock.
fn also_in(finding: &Finding) -> String {
    let pids: Vec<_> = finding.same_fault_in.iter().take(PIDS).map(u32::to_string).collect();
    let more = match finding.same_fault_in.len().saturating_sub(pids.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let processes = plural(finding.same_fault_in.len() as u64, "process", "processes");
    let from = finding.forked_by().map(|pid| format!(" forked by {pid}"));
    let from = from.unwrap_or_default();
    let least = if finding.may_have_more_siblings() { "at least " } else { "" };
    format!("{least}{processes}{from}: {}{more}; all have the same fault", pids.join(", "))
}

/// The colour of a confidence.
pub(super) fn tone(confidence: Confidence) -> Tone {
    match confidence {
        Confidence::Certain => Tone::Alarm,
        Confidence::Likely => Tone::Warning,
        Confidence::Suspect => Tone::Strong,
    }
}

/// A confidence as a word.
pub(crate) fn word(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::Suspect => "suspect",
    }
}

/// The task that is stuck, for how long, and whether it can wake up.
fn who(finding: &Finding, style: Style) -> String {
    let subject = &finding.subject;
    let thread = match subject.tid == subject.pid {
        true => String::new(),
        false => format!(" thread {}", subject.tid),
    };
    let name = format!("{}[{}]{thread}", style.clean(&subject.comm), subject.pid);
    let how_long = match &finding.detail {
        Detail::Wait(wait) => how_long(wait),
        Detail::Stall(stall) => format!("more than {}", duration(stall.waited_ns)),
        Detail::Threads(threads) => return format!("{name} {}", lost_work::headline(threads)),
        Detail::Generators(detail) => return generators::header(finding, detail, style),
        Detail::Buffers(detail) => return buffers::header(finding, detail, style),
        Detail::Descriptor(descriptor) => return shared::headline(finding, descriptor, style),
        Detail::FileLock(lock) => return file_lock::headline(finding, lock, style),
        Detail::Signals(detail) => return format!("{name} {}", file_lock::signals(detail)),
        Detail::None => return format!("{name}: {}", hazards::words(finding.hazard).headline),
    };
    let verdict = match finding.confidence {
        Confidence::Certain => "cannot wake up",
        Confidence::Likely => "probably cannot wake up",
        Confidence::Suspect => "may not wake up",
    };
    format!("{name} has been stuck for {how_long} and {verdict}")
}

/// How long it has been stuck: a range if the wait began before the trace.
fn how_long(wait: &WaitDetail) -> String {
    let waited = duration(wait.waited_ns);
    match wait.at_most_ns {
        Some(most) => format!("{waited} to {}", rounded_up(most)),
        None if wait.since_before || wait.not_before_ns.is_some() => format!("more than {waited}"),
        None => waited,
    }
}

/// The first line: the task that is stuck, and the confidence.
pub(super) fn header(w: &mut impl Write, finding: &Finding, style: Style) -> io::Result<()> {
    let text = who(finding, style);
    let tone = tone(finding.confidence);
    let sure = word(finding.confidence);
    let width = style.block_width();
    let lines = wrap(&text, width - HEADER_COLUMN, width - HEADER_COLUMN);
    write!(w, "{}  ", style.paint(tone, hazards::label(finding.severity)))?;
    let mut used = HEADER_COLUMN;
    for (at, line) in lines.iter().enumerate() {
        if at > 0 {
            write!(w, "\n{:HEADER_COLUMN$}", "")?;
        }
        write!(w, "{}", style.paint(Tone::Strong, line))?;
        used = HEADER_COLUMN + line.chars().count();
    }
    match used + 3 + sure.len() <= width {
        true => writeln!(w, "   {}", style.paint(tone, sure)),
        false => writeln!(w, "\n{:HEADER_COLUMN$}{}", "", style.paint(tone, sure)),
    }
}

/// One row: its label, and its text wrapped in a column.
pub(super) fn row(w: &mut impl Write, style: Style, label: &str, text: &str) -> io::Result<()> {
    let room = style.block_width() - COLUMN;
    let mut label = format!("  {label:<width$}", width = COLUMN - 2);
    for line in wrap(text, room, room) {
        writeln!(w, "{}{line}", style.paint(Tone::Dim, &label))?;
        label = " ".repeat(COLUMN);
    }
    Ok(())
}

fn waits_for(finding: &Finding, wait: &WaitDetail, style: Style) -> String {
    let lock = &wait.lock;
    let about = hazards::about(lock, style);
    if hazards::is_semaphore(lock) && lock.value_at_fork.is_some() && !was_seen_taken(finding) {
        return format!("semaphore {:#x}{about}, value 0 since before the fork", lock.address);
    }
    let state = match (finding.confidence, lock.value_at_fork) {
        (Confidence::Certain | Confidence::Likely, Some(_)) => " taken before the fork",
        (Confidence::Likely, None) if finding.unobserved_fork().is_some() => {
            " taken before the fork"
        }
        (Confidence::Suspect, Some(_)) if was_seen_taken(finding) => " taken before the fork",
        (Confidence::Suspect, Some(_)) => "",
        (_, None) => "; its state at the fork is unknown",
    };
    let what = if hazards::is_semaphore(lock) { "semaphore" } else { "lock" };
    format!("{what} {:#x}{about}{state}", lock.address)
}

/// Whether a probe (`--locks`) saw who took the lock.
fn was_seen_taken(finding: &Finding) -> bool {
    finding.holder().is_some() && finding.has(Rule::HolderSeen)
}

fn held_by(finding: &Finding, wait: &WaitDetail, style: Style) -> String {
    if let Some(fork) = finding.unobserved_fork() {
        return unobserved_fork::held_by(finding, wait, fork, style);
    }
    let semaphore = hazards::is_semaphore(&wait.lock);
    let Some(holder) = finding.holder() else {
        let why = match wait.lock.value_at_fork {
            Some(_) if semaphore => {
                "unknown: a semaphore does not record its holder; a lost thread may have been about to \
                 post it"
            }
            Some(_) => "unknown: this lock does not record its holder",
            None => "unknown: the state of the lock at the fork was not recorded",
        };
        let inside = python::with_at_fork(finding, wait, style);
        return format!("{why}{inside}{}", stacks::candidates(finding, wait, style));
    };
    let process = match finding.fork_site() {
        Some(fork) if fork.by_pid == holder.pid => forking_process(fork, style),
        _ if holder.pid == finding.subject.pid => format!("process {}", holder.pid),
        _ => format!("ancestor process {}", holder.pid),
    };
    let parent = if holder.pid == finding.subject.ppid { "parent " } else { "" };
    let here = match finding.fork_site().is_some_and(|fork| fork.by_tid == holder.tid) {
        true => "this thread called fork",
        false => "this thread does not exist in the child",
    };
    let unless = match semaphore && !was_seen_taken(finding) {
        true => "; or nobody held it, and it was not posted yet",
        false => "",
    };
    let since = stacks::fate(holder, holder.pid == finding.subject.ppid, style);
    let thread = threads::name(holder.pid, holder.tid, holder.comm.as_deref(), style);
    let inside = match holder.python.is_empty() {
        true => python::with_at_fork(finding, wait, style),
        false => String::new(),
    };
    format!("{thread} of {parent}{process} at the fork; {here}{since}{inside}{unless}")
}

/// The process that forked. Names belong to threads, so its name is known only if its main thread
/// forked.
fn forking_process(fork: &ForkSite, style: Style) -> String {
    match fork.by_tid == fork.by_pid {
        true => format!("{}[{}]", style.clean(&fork.by_comm), fork.by_pid),
        false => format!("process {}", fork.by_pid),
    }
}

fn forked(finding: &Finding, style: Style, clock: &Clock) -> String {
    if let Some(fork) = finding.unobserved_fork() {
        return unobserved_fork::forked(finding, fork, style, clock);
    }
    let Some(fork) = finding.fork_site() else {
        return "unknown: the process was forked before tracing began".into();
    };
    let thread = match fork.by_tid == fork.by_pid {
        true => String::new(),
        false => {
            format!(" {}", threads::name(fork.by_pid, fork.by_tid, Some(&fork.by_comm), style))
        }
    };
    let process = forking_process(fork, style);
    let mut text = format!("{} by {process}{thread}", clock.time(fork.boot_ns));
    if fork.threads_lost > 0 {
        let were = if fork.threads_lost == 1 { "was" } else { "were" };
        let others = plural(fork.threads_lost.into(), "other thread", "other threads");
        text.push_str(&format!("; {others} {were} not copied"));
        let total = fork.threads_lost.into();
        text.push_str(&threads::lost(finding, fork.by_pid, &fork.lost, total, style));
    }
    match stacks::fork_site(finding, fork, style) {
        site if site.is_empty() => text,
        site => format!("{text}; at {site}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::report::hazards::tests::finding;
    use forktrace_model::{
        event::PythonFrame,
        finding::HazardId,
        finding::{Detail, ForkInfo},
    };

    #[test]
    fn the_with_block_of_a_lost_thread_is_shown() {
        let frame = PythonFrame { file: "app.py".into(), line: 35, function: "hold".into() };
        let mut seen = finding(HazardId::InheritedLock, 1);
        if let Detail::Wait(wait) = &mut seen.detail {
            wait.with_at_fork = Some(frame);
        }
        let row = |finding: &Finding| held_by(finding, finding.wait().unwrap(), Style::default());
        let text = row(&seen);
        assert!(text.ends_with("in a `with` block of this lock, at app.py:35 in hold"), "{text}");
        let text = row(&Finding { fork: ForkInfo::Unobserved(Box::default()), ..seen });
        assert!(
            text.ends_with(
                "in a `with` block of this lock, or about to enter it, at app.py:35 in hold"
            ),
            "{text}"
        );
    }
}

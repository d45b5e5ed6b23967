//! A [`Timeline`] as the page's script takes it: small, and with every text harmless.
//!
//! Times are µs since the trace began, negative before. Rows are arrays in the order of the fields
//! here, which `script/data.js` names again; texts that repeat are places in [`Data::names`].

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use serde::Serialize;

use forktrace_model::{
    event::{PythonFrame, stacks},
    finding::{Confidence, Finding},
    judge::Forgotten,
};

use crate::{
    export::timeline::{self, Found, Origin, Timeline, WaitEnd},
    report::{
        Clock, First, Shown, Style, duration,
        hang::{Block, RowKind},
        hazards, sanitize,
        summary::Totals,
    },
};

/// Texts with what they are: a label, or how they are meant.
type Rows = Vec<(&'static str, String)>;

/// All that the page shows.
#[derive(Debug, Serialize)]
pub(super) struct Data {
    trace: Trace,
    /// What it comes to: how it is meant (`alarm`, `warning`, `strong`, `good`) and the sentence.
    said: Rows,
    /// What was counted: label and text.
    totals: Rows,
    names: Vec<String>,
    processes: Vec<Process>,
    forks: Vec<Fork>,
    execs: Vec<Exec>,
    waits: Vec<Wait>,
    losses: Vec<(i64, u64)>,
    findings: Vec<Card>,
}

/// The trace itself.
#[derive(Debug, Serialize)]
struct Trace {
    version: String,
    command: String,
    kernel: String,
    filter: String,
    /// When it began, µs since 1970, UTC.
    epoch_us: i64,
    end: i64,
    /// Why it ended; `None`: the log was cut off.
    end_reason: Option<String>,
}

/// pid, process above, name, 0 for a fork, 1 for found alive, 2 for no more than mentioned, began,
/// ended, incomplete, pid in its namespace, program's path, earlier names.
#[derive(Debug, Serialize)]
struct Process(
    u32,
    Option<u32>,
    usize,
    u8,
    Option<i64>,
    Option<i64>,
    bool,
    Option<u32>,
    Option<usize>,
    Vec<usize>,
);

/// child, when, forking pid, forking thread, its name, whether memory was copied, threads lost,
/// whether these are all.
#[derive(Debug, Serialize)]
struct Fork(u32, i64, u32, u32, usize, bool, u32, bool);

/// process, when, path.
#[derive(Debug, Serialize)]
struct Exec(u32, i64, usize);

/// process, thread, began, ended, whether the end was seen, futex address, operation, whether it is
/// timed, finding, whether it is older than the trace.
#[derive(Debug, Serialize)]
struct Wait(u32, u32, i64, Option<i64>, bool, String, usize, bool, Option<u32>, bool);

/// A finding.
#[derive(Debug, Serialize)]
struct Card {
    process: u32,
    tid: u32,
    confidence: Confidence,
    /// The first word of its block.
    label: &'static str,
    /// Whether it is shown without being asked for.
    shown: bool,
    /// The finding, by place, that told the same fault of another task.
    again: Option<usize>,
    since: i64,
    until: Option<i64>,
    /// What became of the wait, where it ended.
    ended: Option<String>,
    header: String,
    /// Label, text, and what the row is about.
    rows: Vec<(&'static str, String, RowKind)>,
    /// Whole stacks: title and frames, each the function and where it is.
    stacks: Vec<(&'static str, Vec<(String, String)>)>,
}

/// Texts that repeat, once each.
#[derive(Debug, Default)]
struct Names {
    texts: Vec<String>,
    places: FxHashMap<String, usize>,
}

impl Names {
    fn place(&mut self, text: &str) -> usize {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.texts.len();
        self.texts.push(sanitize(text).into_owned());
        self.places.insert(text.to_owned(), place);
        place
    }
}

impl Data {
    /// What the page shows of a story.
    pub(super) fn new(story: &Timeline) -> Self {
        let mut names = Names::default();
        let time = |ns: u64| micros(ns, story.trace.start_ns);
        let processes = story.processes.iter().map(|process| row(process, &mut names, time));
        let processes = processes.collect();
        let forks = story.forks.iter().map(|fork| {
            let lost = (fork.threads_lost, fork.threads_lost_known);
            let comm = names.place(&fork.by_comm);
            let (pid, tid) = (fork.by_pid, fork.by_tid);
            Fork(fork.child, time(fork.boot_ns), pid, tid, comm, fork.copies_memory, lost.0, lost.1)
        });
        let forks = forks.collect();
        let execs = story.execs.iter();
        let execs = execs
            .map(|exec| Exec(exec.process, time(exec.boot_ns), names.place(&exec.filename)))
            .collect();
        let waits = story.waits.iter().map(|wait| {
            let address = format!("{:#x}", wait.uaddr);
            let op = names.place(&wait.op);
            let (enter, end) = (time(wait.enter_ns), wait.end_ns.map(time));
            let seen = wait.end == WaitEnd::Returned;
            let since_before = wait.since_before;
            let (process, tid) = (wait.process, wait.tid);
            Wait(
                process,
                tid,
                enter,
                end,
                seen,
                address,
                op,
                wait.timed,
                wait.finding,
                since_before,
            )
        });
        let waits = waits.collect();
        let (said, totals) = words(story);
        Data {
            trace: trace(story),
            said,
            totals,
            processes,
            forks,
            execs,
            waits,
            losses: story.losses.iter().map(|loss| (time(loss.boot_ns), loss.count)).collect(),
            findings: cards(story),
            names: names.texts,
        }
    }
}

fn micros(ns: u64, start_ns: u64) -> i64 {
    let past = i128::from(ns) - i128::from(start_ns);
    i64::try_from(past.div_euclid(1000)).unwrap_or(i64::MAX)
}

fn trace(story: &Timeline) -> Trace {
    let trace = &story.trace;
    let epoch_ns = i128::from(trace.start_ns) + i128::from(trace.clock_offset_ns);
    Trace {
        version: sanitize(&trace.version).into_owned(),
        command: sanitize(&trace.command.join(" ")).into_owned(),
        kernel: sanitize(&trace.kernel).into_owned(),
        filter: sanitize(&trace.filter).into_owned(),
        epoch_us: i64::try_from(epoch_ns.div_euclid(1000)).unwrap_or_default(),
        end: micros(trace.end_ns, trace.start_ns),
        end_reason: trace.end_reason.as_deref().map(|text| sanitize(text).into_owned()),
    }
}

fn row(process: &timeline::Process, names: &mut Names, time: impl Fn(u64) -> i64) -> Process {
    let origin = match process.origin {
        Origin::Fork => 0,
        Origin::Snapshot => 1,
        Origin::Mention => 2,
    };
    let name = names.place(&process.comm);
    let mut earlier = Vec::new();
    for one in &process.names {
        let place = names.place(&one.comm);
        if place != name && !earlier.contains(&place) {
            earlier.push(place);
        }
    }
    let began = Some(process.began_ns).filter(|ns| *ns > 0).map(&time);
    let exe = process.exe.as_deref().map(|exe| names.place(exe));
    Process(
        process.pid,
        process.above,
        name,
        origin,
        began,
        process.ended_ns.map(time),
        process.incomplete,
        process.ns_pid,
        exe,
        earlier,
    )
}

/// The sentences and counts that `report` ends with.
fn words(story: &Timeline) -> (Rows, Rows) {
    let (shown, hidden): (Vec<&Found>, Vec<&Found>) =
        story.findings.iter().partition(|found| found.shown);
    let hidden: BTreeSet<u32> = hidden.iter().map(|found| found.finding.subject.pid).collect();
    let mut shortfalls = story.trace.shortfalls.clone();
    for (kind, count) in &story.left_out {
        shortfalls.push(format!("{count} {kind} are not shown here: there are too many"));
    }
    let waiting =
        shown.iter().filter(|found| !matches!(found.end, WaitEnd::Returned | WaitEnd::Unseen));
    let totals = Totals {
        processes: story.processes.len() as u64,
        counts: &story.counts,
        findings: shown.iter().map(|found| &found.finding).collect(),
        waiting: waiting.map(|found| found.finding.subject.pid).collect(),
        earlier: Forgotten::default(),
        hidden: hidden.len() as u64,
        remedy: "the checkbox below",
        shortfalls: &shortfalls,
        unjudged: (&[], 0),
        coverage: story.trace.coverage,
        threaded_forks: &story.trace.threaded_forks,
    };
    let said = totals.conclusion(Style::default()).into_iter();
    let rows =
        totals.rows(Style::default()).into_iter().map(|(label, _, text)| (label, text)).collect();
    (said.map(|(tone, text)| (tone.name(), text)).collect(), rows)
}

fn cards(story: &Timeline) -> Vec<Card> {
    let clock = Clock { offset_ns: story.trace.clock_offset_ns, zone: jiff::tz::TimeZone::UTC };
    let mut shown = Shown::default();
    let mut places = FxHashMap::default();
    let mut cards = Vec::with_capacity(story.findings.len());
    for (place, found) in story.findings.iter().enumerate() {
        let finding = &found.finding;
        let first = shown.first_with(finding).map(First::subject);
        shown.add(finding);
        places.insert((finding.subject.pid, finding.subject.tid, address(finding)), place);
        let again = first.and_then(|subject| places.get(&subject)).copied();
        cards.push(Card { again, ..card(found, story, &clock) });
    }
    cards
}

fn card(found: &Found, story: &Timeline, clock: &Clock) -> Card {
    let finding = &found.finding;
    let block = Block::new(finding, Style::default(), clock);
    let ended = (found.end == WaitEnd::Returned).then(|| {
        let after = found.end_ns.map(|end| duration(end.saturating_sub(found.waits_since_ns)));
        let after = after.map(|after| format!(" after {after}")).unwrap_or_default();
        format!("no longer stuck: its wait ended{after}")
    });
    Card {
        process: found.process,
        tid: finding.subject.tid,
        confidence: finding.confidence,
        label: hazards::label(finding.severity),
        shown: found.shown,
        again: None,
        since: micros(found.waits_since_ns, story.trace.start_ns),
        until: found.end_ns.map(|end| micros(end, story.trace.start_ns)),
        ended,
        header: block.header,
        rows: block.rows.into_iter().map(|row| (row.label, row.text, row.kind)).collect(),
        stacks: stacks(finding),
    }
}

/// Where the lock is that it is about; 0: about none.
fn address(finding: &Finding) -> u64 {
    finding.lock().map_or(0, |lock| lock.address)
}

fn stacks(finding: &Finding) -> Vec<(&'static str, Vec<(String, String)>)> {
    let native = |stack: &[stacks::Frame]| stack.iter().map(frame).collect::<Vec<_>>();
    let fork = finding.fork_site().map_or(&[][..], |fork| &fork.stack);
    let holder = finding.holder().map_or(&[][..], |holder| &holder.stack);
    let all = [
        ("Python stack of the stuck thread", finding.python().iter().map(python).collect()),
        ("native stack of the stuck thread", native(finding.stack())),
        ("stack of the forking thread at the fork", native(fork)),
        ("stack of the holder when the finding was made", native(holder)),
    ];
    all.into_iter().filter(|(_, frames): &(_, Vec<_>)| !frames.is_empty()).collect()
}

fn python(frame: &PythonFrame) -> (String, String) {
    let line = if frame.line > 0 { format!(":{}", frame.line) } else { String::new() };
    (sanitize(&frame.function).into_owned(), format!("{}{line}", sanitize(&frame.file)))
}

fn frame(frame: &stacks::Frame) -> (String, String) {
    let offset = frame.offset.unwrap_or(frame.address);
    let module = sanitize(frame.module.as_deref().unwrap_or("?"));
    let function = frame
        .symbol
        .as_deref()
        .map_or_else(|| format!("{:#x}", frame.address), |symbol| sanitize(symbol).into_owned());
    let place = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{}:{line}", sanitize(file)),
        (Some(file), None) => sanitize(file).into_owned(),
        (None, _) => format!("{module}+{offset:#x}"),
    };
    (function, place)
}

//! A log that was written to do harm costs time in proportion to its length and opens nothing. What
//! memory it costs: bomb.rs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{fs, path::Path, time::Duration};

use assert_cmd::Command;
use forktrace::{
    pipeline::conclusion::Coverage,
    report::{
        Clock, Style,
        summary::{self, Summary},
        text::Text,
    },
};
use forktrace_log::{Checker, Line, LineKind, Reader};
use forktrace_model::{
    event::{Body, Event, EventsLost, FutexWait, ProcessExit, ProcessFork, Task, Wait},
    finding::{Detail, Finding, ForkInfo, LockPlace, MOST_SIBLINGS},
    judge::{Forgotten, Judge, Judged, Outcome},
    model::Model,
};
use jiff::tz::TimeZone;
use nix::{
    sys::{
        inotify::{AddWatchFlags, InitFlags, Inotify},
        stat::Mode,
    },
    unistd::mkfifo,
};
use serde_json::Value;

#[path = "hostile/export.rs"]
mod export;

/// More than any of these may take; it is there so that a hang is a failure.
const HANG: Duration = Duration::from_secs(300);

fn forktrace(args: &[&str]) -> Command {
    let mut command = Command::cargo_bin("forktrace").unwrap();
    command.args(args).timeout(HANG);
    command
}

fn golden(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn first_line() -> String {
    golden("mutex_of_thread.jsonl").lines().next().unwrap().to_owned()
}

/// A log, compressed: its first line and so many times this text.
fn compressed(path: &Path, times: usize, text: &str) {
    use std::io::Write as _;
    let file = fs::File::create(path).unwrap();
    let mut zstd = zstd::Encoder::new(file, 1).unwrap();
    writeln!(zstd, "{}", first_line()).unwrap();
    for _ in 0..times {
        zstd.write_all(text.as_bytes()).unwrap();
    }
    zstd.finish().unwrap();
}

#[test]
fn a_line_that_does_not_end_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endless.jsonl.zst");
    compressed(&path, 200, &"x".repeat(1 << 20));
    let path = path.to_str().unwrap();
    let output = forktrace(&["report", path]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("the line is longer than 80 MiB"), "{error}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn values_in_values_in_values_are_a_bad_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.jsonl");
    let deep = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    let exit =
        r#"{"schema":1,"type":"process.exit","seq":2,"boot_ns":1,"pid":1,"tid":1,"comm":"x""#;
    fs::write(&path, format!("{}\n{exit},\"a\":{deep}}}\n", first_line())).unwrap();
    let output = forktrace(&["report", "--check", path.to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("recursion limit exceeded"), "{text}");
}

/// Every text of a value that may be a path becomes this one.
fn rename(value: &mut Value, path: &str) -> usize {
    match value {
        Value::String(text) if text.starts_with('/') => {
            path.clone_into(text);
            1
        }
        Value::Array(all) => all.iter_mut().map(|value| rename(value, path)).sum(),
        Value::Object(all) => all.values_mut().map(|value| rename(value, path)).sum(),
        _ => 0,
    }
}

#[test]
fn a_path_in_a_log_is_never_opened() {
    let (watched, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (file, pipe) = (watched.path().join("lib.so"), watched.path().join("pipe"));
    fs::write(&file, "secret").unwrap();
    mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
    let mut paths = Vec::new();
    for (name, target) in [("prefork", &file), ("python_lock", &file), ("mutex_of_thread", &pipe)] {
        let mut named = 0;
        let lines = golden(&format!("{name}.jsonl"));
        let lines = lines.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            named += rename(&mut line, target.to_str().unwrap());
            line.to_string() + "\n"
        });
        let log: String = lines.collect();
        assert!(named > 0, "{name} names no paths");
        paths.push(logs.path().join(format!("{name}.jsonl")));
        fs::write(paths.last().unwrap(), log).unwrap();
    }
    let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    watch.add_watch(watched.path(), AddWatchFlags::IN_OPEN | AddWatchFlags::IN_ACCESS).unwrap();
    for path in &paths {
        let path = path.to_str().unwrap();
        for args in [&["report", "--suspects"][..], &["report", "--json"], &["report", "--check"]] {
            assert!(!forktrace(args).arg(path).output().unwrap().stdout.is_empty());
        }
        for format in ["html", "perfetto", "csv", "dot", "svg", "parquet"] {
            if format == "parquet" && !cfg!(feature = "parquet") {
                continue;
            }
            let out = logs.path().join(format!("out.{format}"));
            let out = out.to_str().unwrap();
            forktrace(&["export", "--format", format, "-o", out, path]).assert().success();
        }
    }
    assert!(watch.read_events().is_err(), "something in the log was opened");
    fs::read(&file).unwrap();
    assert!(!watch.read_events().unwrap().is_empty(), "an open would not have been noticed");
}

/// So many that work in proportion to their square does not end.
const MANY: u32 = 200_000;

fn event(at: u32, pid: u32, body: Body) -> Event {
    let task = Some(Task { pid, tid: pid, comm: String::new() });
    Event { boot_ns: u64::from(at), task, body }
}

fn fork(at: u32, child_pid: u32) -> Event {
    event(at, 1, Body::ProcessFork(ProcessFork { child_pid, clone_flags: 0x11 }))
}

#[test]
fn losses_do_not_cost_more_the_more_processes_live() {
    let mut model = Model::default();
    for at in 0..MANY {
        model.apply(&fork(at, at + 2));
        let lost = Body::EventsLost(EventsLost { count: 1, ..EventsLost::default() });
        model.apply(&Event { task: None, ..event(at, 1, lost) });
    }
    assert_eq!(model.live_count(), MANY as usize + 1);
    let marked = model.all().iter().filter(|process| process.incomplete).count();
    assert_eq!(marked, MANY as usize + 1, "every loss may have been about any of them");
}

#[test]
fn waits_do_not_cost_more_the_more_there_are_when_a_log_is_checked() {
    let mut checker = Checker::default();
    let mut seq = 0;
    let mut take = |event: Event| {
        seq += 1;
        let line = Line { seq, boot_ns: event.boot_ns, kind: LineKind::Event(event) };
        checker.line(seq, &line).len()
    };
    for at in 0..MANY {
        take(fork(at, at + 2));
        let wait = Wait { enter_ns: u64::from(at), ..Wait::default() };
        assert_eq!(
            take(event(at, at + 2, Body::FutexWait(FutexWait { wait, ..FutexWait::default() }))),
            0
        );
    }
    for pid in 0..MANY {
        take(event(MANY, pid + 2, Body::ProcessExit(ProcessExit::default())));
    }
}

fn exit(at: u32, pid: u32) -> Event {
    event(at, pid, Body::ProcessExit(ProcessExit::default()))
}

/// Lines of a report that nobody reads.
fn unread() -> Text<std::io::Sink> {
    let clock = Clock { offset_ns: 0, zone: TimeZone::UTC };
    Text::new(std::io::sink(), Style::default(), clock, false)
}

#[test]
fn the_end_of_a_process_does_not_cost_more_the_more_there_are() {
    let (mut model, mut text) = (Model::default(), unread());
    let forks = (0..MANY).map(|at| fork(at, at + 2));
    // The first one is the farthest from the latest.
    let exits = (0..MANY).map(|at| exit(MANY + at, at + 2));
    // Of these there is nothing to be found at all.
    let strangers = (0..MANY).map(|at| exit(2 * MANY + at, MANY + at + 2));
    for event in forks.chain(exits).chain(strangers) {
        model.apply(&event);
        text.event(&event, &model).unwrap();
    }
    assert_eq!(model.counts().exits, u64::from(MANY));
}

#[test]
fn a_line_of_descent_that_ends_with_its_last_one_first_is_forgotten_at_once() {
    let mut model = Model::default();
    for at in 0..MANY {
        let child = ProcessFork { child_pid: at + 2, clone_flags: 0x11 };
        model.apply(&event(at, at + 1, Body::ProcessFork(child)));
    }
    for at in 0..MANY {
        model.apply(&exit(MANY + at, MANY - at + 1));
    }
    assert_eq!((model.live_count(), model.seen()), (1, u64::from(MANY) + 1));
    assert!(model.all().len() < 30_000, "{} are kept", model.all().len());
    let first = model.latest(1).unwrap();
    assert_eq!(first.children.len(), 1, "who stands above others that are kept is kept");
}

#[test]
fn what_is_kept_for_its_finding_is_not_looked_through_at_every_event() {
    let mut model = Model::default();
    for at in 0..MANY {
        model.apply(&fork(at, at + 2));
        model.pin(at + 2);
        model.apply(&exit(at, at + 2));
    }
    assert_eq!(model.all().len(), MANY as usize + 1);
}

/// The recorded log's fork that led to a finding, and the look that showed it.
fn hang() -> (Vec<Event>, Event, Event) {
    let log = golden("mutex_of_thread.jsonl");
    let (mut before, mut fork) = (Vec::new(), None);
    for line in Reader::new(log.as_bytes()) {
        let LineKind::Event(event) = line.unwrap().kind else { continue };
        match &event.body {
            Body::Evidence(_) => return (before, fork.unwrap(), event),
            Body::ProcessFork(_) => {
                before.extend(fork.replace(event));
            }
            _ => before.push(event),
        }
    }
    unreachable!("there is no evidence in it")
}

/// What `times` children that hang as the recorded one lead to.
fn hangs(times: u32) -> (Model, Judge, Vec<Finding>) {
    let (before, mut fork, mut look) = hang();
    let (mut model, mut judge, mut findings) = (Model::default(), Judge::default(), Vec::new());
    let mut take = |event: &Event, findings: &mut Vec<Finding>| {
        model.apply(event);
        if let Some(Outcome::Found(finding)) = judge.apply(event, &model) {
            model.pin(finding.subject.pid);
            findings.push(finding);
        }
    };
    before.iter().for_each(|event| take(event, &mut findings));
    for child in 0..times {
        // Beyond all pids of the recorded log.
        let pid = (1 << 24) + child;
        if let Body::ProcessFork(fork) = &mut fork.body {
            fork.child_pid = pid;
        }
        if let Some(task) = &mut look.task {
            (task.pid, task.tid) = (pid, pid);
        }
        if let Body::Evidence(evidence) = &mut look.body {
            let comm = evidence.threads.first().map(|thread| thread.comm.clone());
            for thread in &mut evidence.threads {
                thread.tid = pid;
                thread.comm = comm.clone().unwrap_or_default();
            }
        }
        take(&fork, &mut findings);
        take(&look, &mut findings);
    }
    (model, judge, findings)
}

#[test]
fn a_finding_does_not_cost_more_the_more_siblings_hang() {
    const FINDINGS: u32 = 10_000;
    let (model, judge, findings) = hangs(FINDINGS);
    assert_eq!(findings.len(), FINDINGS as usize);
    let named = |at: u32| findings.get(at as usize).unwrap().same_fault_in.len();
    assert_eq!(named(10), 10);
    assert_eq!(named(FINDINGS - 1), MOST_SIBLINGS);
    let mut text = unread();
    for finding in &findings {
        text.finding(finding).unwrap();
    }
    write(&model, judge.findings());
}

fn write(model: &Model, findings: &[Judged]) {
    let summary = Summary {
        processes: model.all(),
        seen: model.seen(),
        forgotten: model.forgotten_roots(),
        counts: model.counts(),
        span_ns: model.span_ns(),
        findings,
        earlier: Forgotten::default(),
        hidden: 0,
        quiet: false,
        shortfalls: &[],
        unjudged: (&[], 0),
        coverage: Coverage::default(),
        threaded_forks: &model.threaded_forks(),
        recorded: &[],
    };
    summary::write(&mut std::io::sink(), &summary, Style::default()).unwrap();
}

#[test]
fn findings_about_one_number_do_not_cost_more_the_more_processes_had_it() {
    let (_, judge, _) = hangs(1);
    let mut model = Model::default();
    let mut findings = Vec::new();
    let mut found = judge.findings().first().unwrap().clone();
    // As small as it can be: there are many.
    found.finding.proofs.clear();
    if let Detail::Wait(wait) = &mut found.finding.detail {
        wait.stack.clear();
        wait.candidates.clear();
        wait.holder = None;
    }
    if let ForkInfo::Observed(fork) = &mut found.finding.fork {
        fork.stack.clear();
        fork.lost.clear();
    }
    for at in 0..MANY {
        model.apply(&fork(at, 2));
        model.pin(2);
        model.apply(&exit(at, 2));
        let mut judged = found.clone();
        judged.finding.subject.pid = 2;
        if let ForkInfo::Observed(fork) = &mut judged.finding.fork {
            fork.boot_ns = u64::from(at);
        }
        findings.push(judged);
    }
    write(&model, &findings);
}

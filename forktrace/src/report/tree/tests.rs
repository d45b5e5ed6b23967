//! The tree as it is printed: a small prefork server with a worker that hangs.

#![allow(clippy::unwrap_used, reason = "tests")]

use insta::assert_snapshot;

use super::*;
use crate::report::hazards::tests::finding;
use forktrace_model::{
    event::{Body, Event, ProcessExit, ProcessFork, ProcessSnapshot, Task},
    finding::{Finding, ForkInfo, HazardId},
    model::Model,
};

const SECOND: u64 = 1_000_000_000;

fn at(seconds: u64, pid: u32, comm: &str, body: Body) -> Event {
    let task = Some(Task { pid, tid: pid, comm: comm.to_owned() });
    Event { boot_ns: (100 + seconds) * SECOND, task, body }
}

fn fork(seconds: u64, pid: u32, comm: &str, child_pid: u32) -> Event {
    at(seconds, pid, comm, Body::ProcessFork(ProcessFork { child_pid, clone_flags: 0x120_0000 }))
}

fn exit(seconds: u64, pid: u32, comm: &str) -> Event {
    at(seconds, pid, comm, Body::ProcessExit(ProcessExit::default()))
}

fn model(events: &[Event]) -> Model {
    let mut model = Model::default();
    for event in events {
        model.apply(event);
    }
    model
}

fn stuck(model: &Model, pid: u32, since_s: u64) -> Judged {
    let process = model.all().iter().find(|process| process.pid == pid).unwrap();
    let finding = finding(HazardId::InheritedLock, 1);
    let mut fork = finding.fork_site().unwrap().clone();
    fork.boot_ns = process.fork.as_ref().unwrap().boot_ns;
    let mut finding = Finding {
        confidence: Confidence::Certain,
        fork: ForkInfo::Observed(Box::new(fork)),
        ..finding
    };
    (finding.subject.pid, finding.subject.tid) = (pid, pid);
    let since_ns = (100 + since_s) * SECOND;
    Judged { finding, process: process.id, since_ns, ended_after_ns: None }
}

/// A master that is older than the trace, an ended and two living workers, one of which has a child.
fn server() -> Model {
    let seen = ProcessSnapshot { ppid: 1, start_ns: 5, ..ProcessSnapshot::default() };
    model(&[
        at(0, 4200, "gunicorn", Body::ProcessSnapshot(seen)),
        fork(2, 4200, "gunicorn", 4201),
        fork(4, 4200, "gunicorn", 4202),
        fork(5, 4202, "gunicorn", 4203),
        exit(8, 4201, "gunicorn"),
        at(9, 4203, "convert", Body::ProcessExec(Default::default())),
        exit(10, 4200, "gunicorn"),
    ])
}

fn drawn(model: &Model, findings: &[Judged], style: Style) -> String {
    let text = draw(model.all(), model.forgotten_roots(), findings, model.span_ns(), style);
    let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
    assert!(widest <= style.width.unwrap_or(usize::MAX), "{widest} columns:\n{text}");
    text
}

fn columns(width: usize) -> Style {
    Style { width: Some(width), ..Style::default() }
}

#[test]
fn each_process_has_the_bar_of_its_life() {
    let model = server();
    assert_snapshot!(drawn(&model, &[stuck(&model, 4202, 6)], columns(80)), @r"
    gunicorn[4200]         ▕━━━━━━━━━━━━━━━━━━━━▏ lived 109.9 s
    ├── gunicorn[4201]     ▕    ━━━━━━━━━━━━    ▏ lived 6.0 s
    └── gunicorn[4202]     ▕        ━━━━████████▏ HANG certain
        └── convert[4203]  ▕          ━━━━━━━━━━▏ still running
    bars: 10.0 s from left to right; ━ alive, █ stuck
    ");
}

#[test]
fn bars_are_drawn_with_ascii_alone() {
    let model = server();
    let style = Style { ascii: true, ..columns(80) };
    let text = drawn(&model, &[stuck(&model, 4202, 6)], style);
    assert!(text.is_ascii(), "{text}");
    assert_snapshot!(text, @r"
    gunicorn[4200]         |--------------------| lived 109.9 s
    |-- gunicorn[4201]     |    ------------    | lived 6.0 s
    `-- gunicorn[4202]     |        ----########| HANG certain
        `-- convert[4203]  |          ----------| still running
    bars: 10.0 s from left to right; - alive, # stuck
    ");
}

#[test]
fn the_hang_is_red_where_there_is_colour() {
    let model = server();
    let style = Style { color: true, ..Style::default() };
    let text = draw(
        model.all(),
        model.forgotten_roots(),
        &[stuck(&model, 4202, 6)],
        model.span_ns(),
        style,
    );
    assert!(text.contains("━━━━\u{1b}[1m\u{1b}[31m████████\u{1b}[0m"), "{text:?}");
}

#[test]
fn a_hang_that_ended_ends_in_the_bar() {
    let model = server();
    let ended = Judged { ended_after_ns: Some(2 * SECOND), ..stuck(&model, 4202, 6) };
    let text = drawn(&model, &[ended], columns(80));
    assert!(text.contains("▕        ━━━━████━━━━▏ HANG certain"), "{text}");
}

#[test]
fn a_narrow_terminal_has_short_bars_or_none() {
    let model = server();
    let findings = [stuck(&model, 4202, 6)];
    assert_snapshot!(drawn(&model, &findings, columns(48)), @r"
    gunicorn[4200]         ▕━━━━━━━━━▏ lived 109.9 s
    ├── gunicorn[4201]     ▕ ━━━━━━━ ▏ lived 6.0 s
    └── gunicorn[4202]     ▕   ━━████▏ HANG certain
        └── convert[4203]  ▕    ━━━━━▏ still running
    bars: 10.0 s from left to right; ━ alive, █
    stuck
    ");
    assert_snapshot!(drawn(&model, &findings, columns(40)), @r"
    gunicorn[4200]  lived 109.9 s
    ├── gunicorn[4201]  lived 6.0 s
    └── gunicorn[4202]  HANG certain
        └── convert[4203]  still running
    ");
}

#[test]
fn a_deep_tree_keeps_within_the_terminal_and_shows_the_names() {
    let events: Vec<Event> = (0..25).map(|n| fork(n, 10 + n as u32, "sh", 11 + n as u32)).collect();
    let model = model(&events);
    let text = drawn(&model, &[], columns(80));
    assert!(text.contains("▕━━━━━━━━▏") && text.contains("…"), "{text}");
    assert!(text.contains("└── sh[35]  still running"), "{text}");
    let text = drawn(&model, &[], Style { ascii: true, ..columns(80) });
    assert!(text.is_ascii() && text.contains("`-- sh[35]  still running"), "{text}");
}

#[test]
fn processes_drawn_as_one_have_one_bar() {
    let mut events = Vec::new();
    for n in 0..300 {
        events.push(fork(n / 60, 1, "master", 1000 + n as u32));
    }
    for n in 0..300 {
        events.push(exit(5 + n / 60, 1000 + n as u32, "master"));
    }
    events.push(fork(20, 1, "master", 5000));
    let model = model(&events);
    assert_snapshot!(drawn(&model, &[stuck(&model, 5000, 20)], columns(80)), @r"
    master[1]         ▕━━━━━━━━━━━━━━━━━━━━▏ still running
    ├── master × 300  ▕━━━━━━━━━           ▏ ended
    └── master[5000]  ▕                   █▏ HANG certain
    bars: 20.0 s from left to right; ━ alive, █ stuck
    ");
}

//! A short trace in which every text is the same one.

use forktrace_model::{
    event::{
        Body, Event, EventsLost, ProcessExec, ProcessSnapshot, Task, ThreadName, TraceEnd,
        TraceStart,
    },
    finding::Finding,
};

use super::sample_finding;
use crate::export::{
    TimelineBuilder,
    timeline::{Found, LogEnd, Timeline, Wait, WaitEnd},
};

/// The process that all is about.
pub(super) const PID: u32 = 7;

/// An event about the process.
pub(super) fn event(text: &str, body: Body) -> Event {
    let task = Some(Task { pid: PID, tid: PID, comm: text.into() });
    Event { boot_ns: 2, task, body }
}

/// It is alive.
pub(super) fn alive(text: &str) -> Event {
    let threads = vec![ThreadName { tid: PID, comm: text.into() }];
    let exe = Some(text.into());
    let cgroup = exe.clone();
    let snapshot = ProcessSnapshot { exe, threads, cgroup, ..ProcessSnapshot::default() };
    event(text, Body::ProcessSnapshot(snapshot))
}

/// It runs another program.
pub(super) fn exec(text: &str) -> Event {
    event(text, Body::ProcessExec(ProcessExec { old_tid: PID + 1, filename: text.into() }))
}

/// Something was lost.
pub(super) fn lost(text: &str) -> Event {
    let by_kind = [(text.to_owned(), 1)].into();
    Event { boot_ns: 2, task: None, body: Body::EventsLost(EventsLost { count: 1, by_kind }) }
}

/// The trace as pictures are drawn of it.
pub(super) fn story(text: &str, choice: u8) -> Timeline {
    let start = TraceStart {
        version: text.into(),
        command: vec![text.into()],
        kernel: text.into(),
        boot_id: text.into(),
        filter: text.into(),
        ..TraceStart::default()
    };
    let end = TraceEnd { reason: text.into(), ..TraceEnd::default() };
    let about = |body| Event { boot_ns: 2, task: None, body };
    let mut teller = TimelineBuilder::pipeline();
    for event in [
        about(Body::TraceStart(Box::new(start))),
        alive(text),
        exec(text),
        lost(text),
        about(Body::TraceEnd(end)),
    ] {
        assert!(teller.event(&event).is_ok());
    }
    let mut story = teller.finish(LogEnd { shortfalls: vec![text.into()] });
    story.waits.push(wait());
    story.findings.push(found(sample_finding::finding(text, choice)));
    story
}

fn wait() -> Wait {
    Wait {
        process: 0,
        tid: PID,
        thread: None,
        enter_ns: 2,
        since_before: false,
        not_before_ns: None,
        end_ns: None,
        end: WaitEnd::Open,
        uaddr: 0x1000,
        op: "WAIT".into(),
        timed: false,
        result: None,
        finding: Some(0),
    }
}

fn found(finding: Finding) -> Found {
    Found {
        finding,
        process: 0,
        thread: None,
        holder_thread: None,
        first_ns: 2,
        boot_ns: 2,
        waits_since_ns: 2,
        end_ns: None,
        end: WaitEnd::Open,
        shown: true,
    }
}

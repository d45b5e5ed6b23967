//! A short trace in which every text is the same one.

use forktrace_model::{
    event::{
        Body, Doing, Event, EventsLost, ProcessExec, ProcessSnapshot, PythonFrame, Task,
        ThreadName, TraceEnd, TraceStart,
        stacks::{Fate, Frame, Place, Stack, TaskNow},
    },
    finding::{Confidence, Finding, ForkSite, Holder, Kind, Lock, Proof, UnseenFork},
};

use crate::export::{
    TimelineBuilder,
    timeline::{Found, LogEnd, Timeline, Wait, WaitEnd},
};

/// The process that all is about.
const PID: u32 = 7;

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
    story.findings.push(found(finding(text, choice)));
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

/// A finding. What of it is known is chosen by a number.
pub(super) fn finding(text: &str, choice: u8) -> Finding {
    let has = |bit: u8| choice >> bit & 1 != 0;
    let some = || Some(text.to_owned());
    let frame = Frame {
        address: 1,
        symbol: some().filter(|_| has(0)),
        module: some(),
        offset: None,
        file: some().filter(|_| has(1)),
        line: Some(1).filter(|_| has(2)),
        build_id: some(),
    };
    let stack = vec![frame];
    let line = PythonFrame { file: text.into(), line: 1, function: text.into() };
    let python: Vec<PythonFrame> = has(3).then_some(line).into_iter().collect();
    let place = Place::Module { path: text.into(), section: some(), symbol: some(), offset: 0 };
    let fork = ForkSite {
        boot_ns: 2,
        by_pid: 6,
        by_tid: if has(4) { 5 } else { 6 },
        by_comm: text.into(),
        threads_lost: 1,
        lost: vec![ThreadName { tid: 5, comm: text.into() }],
        stack: stack.clone(),
        stack_cut: some(),
    };
    let unseen = UnseenFork {
        boot_ns: 2,
        by_pid: Some(6),
        by_comm: some(),
        by_tid: Some(5),
        by_thread: some(),
        lost: false,
        owner_tid: None,
    };
    let holder = Holder {
        stack: stack.clone(),
        python: python.clone(),
        fate: Some(Fate::Alive),
        doing: Some(Doing::Running),
        holding: Some(has(5)),
        ..Holder::new(6, 5, some())
    };
    let candidate = TaskNow {
        pid: 6,
        tid: 5,
        comm: some(),
        fate: Fate::Alive,
        doing: Doing::Running,
        stack: Stack { frames: stack.clone(), cut: some() },
        python: python.clone(),
    };
    Finding {
        kind: if has(6) { Kind::LostWaker } else { Kind::InheritedLock },
        confidence: Confidence::Likely,
        pid: PID,
        tid: PID,
        comm: text.into(),
        ppid: 6,
        ns_pid: None,
        waited_ns: 1,
        lock: Lock {
            address: 0x1000,
            futex: 0x1000,
            kind: text.into(),
            op: text.into(),
            value: 2,
            value_at_fork: Some(2),
            mapping: text.into(),
            place: Some(place).filter(|_| has(5)),
        },
        holder: Some(holder).filter(|_| !has(7)),
        fork: Some(fork).filter(|_| !has(2)),
        unseen_fork: Some(unseen).filter(|_| has(2)),
        since_before: false,
        at_most_ns: None,
        not_before_ns: None,
        evidence: vec![Proof { rule: text.into(), detail: text.into() }],
        same_lock_in: Vec::new(),
        with_at_fork: python.first().cloned(),
        python,
        python_missing: some(),
        stack: if has(0) { stack } else { Vec::new() },
        stack_cut: some().filter(|_| has(1)),
        candidates: vec![candidate],
        advice: text.into(),
    }
}

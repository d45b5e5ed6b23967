#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::report::logged;
use forktrace_log::FindingLine;
use forktrace_log::{LineKind, Reader};
use forktrace_model::event::{
    Body, Event, FutexWait, ProcessExec, ProcessExit, ProcessFork, ProcessSnapshot, Task,
    ThreadExit, ThreadName, ThreadStart, Wait as Waiting,
};

fn event(boot_ns: u64, pid: u32, tid: u32, comm: &str, body: Body) -> Event {
    Event { boot_ns, task: Some(Task { pid, tid, comm: comm.into() }), body }
}

fn told(events: impl IntoIterator<Item = Event>) -> Timeline {
    let mut teller = TimelineBuilder::pipeline();
    for event in events {
        teller.event(&event).unwrap();
    }
    teller.finish(LogEnd::default())
}

fn snapshot(pid: u32, threads: &[u32]) -> Event {
    let threads = threads.iter().map(|tid| ThreadName { tid: *tid, comm: format!("t{tid}") });
    let seen = ProcessSnapshot {
        ppid: 1,
        start_ns: 5,
        threads: threads.collect(),
        read_ns: 12,
        ..ProcessSnapshot::default()
    };
    event(10, pid, pid, "server", Body::ProcessSnapshot(seen))
}

fn fork(at: u64, pid: u32, tid: u32, child_pid: u32) -> Event {
    event(at, pid, tid, "server", Body::ProcessFork(ProcessFork { child_pid, clone_flags: 0 }))
}

fn wait(at: u64, pid: u32, tid: u32, enter_ns: u64, result: Option<i64>) -> Event {
    let wait = Waiting { enter_ns, uaddr: 0x1000, ..Waiting::default() };
    event(at, pid, tid, "server", Body::FutexWait(FutexWait { wait, result, over: false }))
}

fn exit(at: u64, pid: u32) -> Event {
    event(at, pid, pid, "server", Body::ProcessExit(ProcessExit::default()))
}

#[test]
fn the_golden_logs_tell_the_findings_that_they_recorded() {
    for log in [
        include_bytes!("../../../tests/golden/mutex_of_thread.jsonl").as_slice(),
        include_bytes!("../../../tests/golden/python_lock.jsonl"),
        include_bytes!("../../../tests/golden/python_rlock.jsonl"),
    ] {
        let (mut events, mut recorded) = (Vec::new(), Vec::new());
        for line in Reader::new(log) {
            match line.unwrap().kind {
                LineKind::Event(event) => events.push(event),
                LineKind::Finding(finding) => recorded.push(*finding),
                LineKind::Unknown { .. } => {}
            }
        }
        let story = told(events);
        let told: Vec<_> =
            story.findings.iter().map(|found| logged::line(&found.finding)).collect();
        let conclusions = |lines: &[FindingLine]| -> Vec<_> {
            let conclusion = |line: &FindingLine| {
                (line.kind.clone(), line.confidence.clone(), line.tid, line.fork.clone())
            };
            lines.iter().map(conclusion).collect()
        };
        assert_eq!(conclusions(&told), conclusions(&recorded));
        let found = &story.findings[0];
        assert!(found.shown && found.thread.is_some() && found.end != WaitEnd::Returned);
        let wait = story.waits.iter().find(|wait| wait.finding == Some(0)).unwrap();
        assert_eq!((wait.enter_ns, wait.thread), (found.waits_since_ns, found.thread));
        assert_eq!(story.forks.len() as u64, story.counts.forks + story.counts.vforks);
        assert!(story.trace.end_reason.is_some() && story.left_out.is_empty());
    }
}

#[test]
fn an_end_that_nobody_saw_is_no_return() {
    let mut over = wait(60, 100, 100, 20, None);
    if let Body::FutexWait(wait) = &mut over.body {
        wait.over = true;
    }
    let story = told([snapshot(100, &[100]), wait(50, 100, 100, 20, None), over]);
    let [wait] = story.waits.as_slice() else { panic!("{:?}", story.waits) };
    assert_eq!((wait.end, wait.end_ns, wait.result), (WaitEnd::Unseen, Some(60), None));
}

#[test]
fn lives_are_told_with_how_their_end_is_known() {
    let story = told([
        snapshot(100, &[100, 101]),
        event(
            20,
            100,
            100,
            "server",
            Body::ThreadStart(ThreadStart { child_tid: 102, clone_flags: 0 }),
        ),
        fork(30, 100, 102, 110),
        event(
            40,
            100,
            101,
            "t101",
            Body::ThreadExit(ThreadExit { group_dead: Some(false), ended: None }),
        ),
        event(
            50,
            110,
            110,
            "ls",
            Body::ProcessExec(ProcessExec { old_tid: 110, filename: "/bin/ls".into() }),
        ),
        exit(60, 110),
        exit(70, 100),
    ]);
    let [server, child] = story.processes.as_slice() else { panic!("{:?}", story.processes) };
    assert_eq!((server.origin, server.began_ns, server.ppid), (Origin::Snapshot, 5, 1));
    assert_eq!((child.origin, child.above, child.ppid), (Origin::Fork, Some(0), 100));
    assert_eq!((child.ended_ns, child.end), (Some(60), Some(End::Exit)));
    let names: Vec<_> =
        child.names.iter().map(|n| (n.since_ns, n.comm.as_str(), n.filename.as_deref())).collect();
    assert_eq!(names, [(30, "server", None), (50, "ls", Some("/bin/ls"))]);
    let threads: Vec<_> =
        story.threads.iter().map(|t| (t.tid, t.began_ns, t.ended_ns, t.end)).collect();
    assert_eq!(
        threads,
        [
            (100, 0, Some(70), Some(End::Exit)),
            (101, 0, Some(40), Some(End::Exit)),
            (102, 20, Some(70), Some(End::WithProcess)),
            (110, 30, Some(60), Some(End::Exit)),
        ]
    );
    assert_eq!((story.forks[0].by_tid, story.forks[0].threads_lost), (102, 2));
}

#[test]
fn waits_end_by_return_by_death_or_unseen_or_not_at_all() {
    let story = told([
        snapshot(100, &[100, 101]),
        fork(20, 100, 100, 110),
        wait(40, 100, 100, 30, None),
        wait(50, 100, 100, 30, Some(-11)),
        wait(60, 100, 101, 31, None),
        wait(90, 100, 101, 80, None),
        wait(95, 110, 110, 35, None),
        exit(99, 110),
    ]);
    let waits: Vec<_> =
        story.waits.iter().map(|w| (w.tid, w.enter_ns, w.end_ns, w.end, w.result)).collect();
    assert_eq!(
        waits,
        [
            (100, 30, Some(50), WaitEnd::Returned, Some(-11)),
            (101, 31, Some(80), WaitEnd::Unseen, None),
            (101, 80, None, WaitEnd::Open, None),
            (110, 35, Some(99), WaitEnd::ThreadEnded, None),
        ]
    );
}

#[test]
fn exec_ends_the_other_threads_and_their_waits() {
    let story = told([
        snapshot(100, &[100, 101]),
        wait(40, 100, 100, 30, None),
        event(
            50,
            100,
            100,
            "new",
            Body::ProcessExec(ProcessExec { old_tid: 101, filename: String::new() }),
        ),
    ]);
    let ends: Vec<_> = story.threads.iter().map(|t| (t.tid, t.ended_ns, t.end)).collect();
    assert_eq!(ends, [(100, None, None), (101, Some(50), Some(End::Exec))]);
    assert_eq!(story.execs[0].by_tid, 101);
}

#[test]
fn a_process_that_renames_itself_without_end_costs_no_memory_without_end() {
    let renames = (20..120).map(|at| {
        let start = ThreadStart { child_tid: 101, clone_flags: 0 };
        event(at, 100, 100, &format!("n{at}"), Body::ThreadStart(start))
    });
    let story = told(std::iter::once(snapshot(100, &[100])).chain(renames));
    assert_eq!(story.processes[0].names.len(), MAX_NAMES);
    assert_eq!(story.left_out["names"], 101 - MAX_NAMES as u64);
    assert_eq!(story.processes[0].comm, "n119");
}

/// A child reads from a pipe whose other end its parent has, which waits for the end of the child.
fn circle(at: u64) -> Event {
    use forktrace_model::event::stall::{
        On, Stall, StallProcess, StallTask, TaskState, TaskWait, Thing, ThingKind, User, Way,
    };
    let waits = |call, thing, way| {
        let on = vec![On { thing, fd: None, way }];
        TaskState::Waits(TaskWait { call, since_ns: 30, on, ..TaskWait::default() })
    };
    let task = |pid, state| StallTask { pid, tid: pid, state, ..StallTask::default() };
    let thing = |kind, pid| Thing {
        kind,
        users: vec![User { pid, writes: true, ..User::default() }],
        ..Thing::default()
    };
    let process =
        |pid| StallProcess { pid, handlers: Some(0), timers: Some(0), ..StallProcess::default() };
    let stall = Stall {
        tasks: vec![task(200, waits(0, 0, Way::Read)), task(100, waits(61, 1, Way::Exit))],
        things: vec![thing(ThingKind::Pipe, 100), thing(ThingKind::Children, 200)],
        processes: vec![process(100), process(200)],
        ..Stall::default()
    };
    event(at, 200, 200, "server", Body::Stall(Box::new(stall)))
}

#[test]
fn a_finding_about_who_waits_for_whom_lasts_from_the_beginning_of_the_wait() {
    let before = || vec![snapshot(100, &[100]), fork(20, 100, 100, 200), circle(90)];
    let story = told(before());
    let [found] = story.findings.as_slice() else { panic!("{:?}", story.findings) };
    assert_eq!((found.process, found.waits_since_ns, found.end_ns), (1, 30, None));
    assert!(found.shown && found.thread.is_some());
    let exit = event(95, 200, 200, "server", Body::ProcessExit(ProcessExit::default()));
    let killed = told([before(), vec![exit]].concat());
    assert_eq!(killed.findings[0].end_ns, Some(95));
    assert_eq!(killed.findings[0].end, WaitEnd::ThreadEnded);
}

//! What a trace says of hangs, by hand-made events.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::event::{
    AtFork, Doing, Ended, Evidence, FutexWait, Mapping, Missing, ProcessExec, ProcessExit,
    ProcessFork, ProcessSnapshot, Task, ThreadExit, ThreadName, ThreadSample, ThreadStart,
    UnjudgedWait, Wait, Window,
    stall::{On, Stall, StallProcess, StallTask, TaskState, TaskWait, Thing, ThingKind, User, Way},
};

const PARENT: u32 = 100;
const CHILD: u32 = 200;
const WORKER: u32 = 201;
const UADDR: u64 = 0x5000_0000_1010;
const SECOND: u64 = 1_000_000_000;

struct Trace {
    model: Model,
    judge: Judge,
}

impl Trace {
    /// A process forked a child, which made a thread of its own.
    fn new() -> Self {
        let mut trace = Trace { model: Model::default(), judge: Judge::default() };
        let thread = ThreadName { tid: PARENT, comm: "parent".into() };
        let seen = ProcessSnapshot { threads: vec![thread], ..ProcessSnapshot::default() };
        trace.take(1, PARENT, PARENT, Body::ProcessSnapshot(seen));
        let fork = ProcessFork { child_pid: CHILD, clone_flags: 0x0120_0000 };
        trace.take(2, PARENT, PARENT, Body::ProcessFork(fork));
        let start = ThreadStart { child_tid: WORKER, clone_flags: 0 };
        trace.take(3, CHILD, CHILD, Body::ThreadStart(start));
        trace
    }

    fn take(&mut self, seconds: u64, pid: u32, tid: u32, body: Body) -> Option<Outcome> {
        let task = Some(Task { pid, tid, comm: format!("t{tid}") });
        let event = Event { boot_ns: seconds * SECOND, task, body };
        let changes = self.model.apply(&event);
        let outcome = self.judge.apply(&event, &self.model);
        for change in changes {
            if let crate::model::Change::Ended(id) = change {
                self.judge.ended(id, event.boot_ns, event.body.ended());
            }
        }
        outcome
    }

    /// What is not accounted for: threads and reasons.
    fn unaccounted(&self) -> Vec<(u32, Unjudged)> {
        let (waits, counts) = self.judge.unaccounted(&self.model);
        assert_eq!(counts.values().sum::<u64>(), waits.len() as u64);
        waits.into_iter().map(|one| (one.task.tid, one.wait.why)).collect()
    }

    fn exit(&mut self, seconds: u64, tid: u32) {
        self.take(
            seconds,
            CHILD,
            tid,
            Body::ThreadExit(ThreadExit { group_dead: Some(false), ended: None }),
        );
    }
}

fn wait() -> Wait {
    Wait { enter_ns: 5 * SECOND, uaddr: UADDR, op: 128, val: 2, ..Wait::default() }
}

/// A wait of the worker for a word of an unknown kind that existed at the fork, beside a first thread
/// that moves or not.
fn evidence(beside: Doing) -> Evidence {
    let thread =
        |tid, doing| ThreadSample { tid, doing, ran: Some(false), ..ThreadSample::default() };
    let waits = Doing::Futex { uaddr: UADDR, op: 128, val: 2, timed: false };
    Evidence {
        wait: wait(),
        still_waiting: true,
        mapping: Some(Mapping { perms: "rw-p".into(), ..Mapping::default() }),
        now: Some(Window { address: UADDR, bytes: vec![0; 4] }),
        threads: vec![thread(CHILD, beside), thread(WORKER, waits)],
        ..Evidence::default()
    }
}

fn look(evidence: Evidence) -> Body {
    Body::Evidence(Box::new(evidence))
}

/// A wait in memory that was not readable: it can be neither a hang nor none.
fn unreadable() -> Body {
    look(Evidence { mapping: None, ..evidence(Doing::Running) })
}

#[test]
fn a_wait_that_was_not_judged_is_named_until_it_ends() {
    let mut trace = Trace::new();
    trace.take(9, CHILD, WORKER, unreadable());
    assert_eq!(trace.unaccounted(), [(WORKER, Unjudged::Unreadable)]);
    let back = FutexWait { wait: wait(), result: Some(0), over: false };
    trace.take(10, CHILD, WORKER, Body::FutexWait(back));
    assert_eq!(trace.unaccounted(), []);
}

#[test]
fn the_end_of_a_thread_ends_its_wait_unless_its_process_ends_with_it() {
    let mut joined = Trace::new();
    joined.take(9, CHILD, WORKER, unreadable());
    joined.exit(10, WORKER);
    assert_eq!(joined.unaccounted(), [], "joined");
    joined.take(20, CHILD, CHILD, Body::ProcessExit(ProcessExit::default()));
    assert_eq!(joined.unaccounted(), []);
    let mut killed = Trace::new();
    killed.take(9, CHILD, WORKER, unreadable());
    killed.exit(10, WORKER);
    killed.take(10, CHILD, CHILD, Body::ProcessExit(ProcessExit::default()));
    assert_eq!(killed.unaccounted(), [(WORKER, Unjudged::Unreadable)]);
}

#[test]
fn a_timed_wait_is_accounted_for() {
    let mut trace = Trace::new();
    let mut timed = evidence(Doing::Running);
    timed.wait.timed = true;
    trace.take(9, CHILD, WORKER, look(timed));
    assert_eq!(trace.unaccounted(), []);
}

#[test]
fn a_page_that_was_not_kept_counts_only_where_it_would_tell_more() {
    let mut trace = Trace::new();
    let mut without = evidence(Doing::Running);
    without.mapping = None;
    without.at_fork = AtFork::Unknown(Missing::LimitReached);
    trace.take(9, CHILD, WORKER, look(without));
    assert!(trace.judge.unaccounted(&trace.model).0.iter().all(|wait| wait.pages_missing));
    let mut kept = Trace::new();
    kept.take(9, CHILD, WORKER, unreadable());
    assert!(!kept.judge.unaccounted(&kept.model).0.iter().any(|wait| wait.pages_missing));
}

/// The child reads from a pipe whose other end the parent has.
fn stall(parent: TaskState) -> Stall {
    let task = |pid, tid, state| StallTask { pid, tid, state, ..StallTask::default() };
    let process =
        |pid| StallProcess { pid, handlers: Some(0), timers: Some(0), ..StallProcess::default() };
    let on = vec![On { thing: 0, fd: Some(3), way: Way::Read }];
    let reads = TaskWait { call: 0, since_ns: 4 * SECOND, on, ..TaskWait::default() };
    Stall {
        tasks: vec![task(CHILD, CHILD, TaskState::Waits(reads)), task(PARENT, PARENT, parent)],
        things: vec![Thing {
            kind: ThingKind::Pipe,
            name: "pipe:[1]".into(),
            users: vec![User { pid: PARENT, writes: true, ..User::default() }],
            ..Thing::default()
        }],
        processes: vec![process(CHILD), process(PARENT)],
        ..Stall::default()
    }
}

#[test]
fn a_wait_of_any_kind_is_accounted_for_if_somebody_who_can_end_it_is_known_to_run() {
    let mut trace = Trace::new();
    let of = |parent| Body::Stall(Box::new(stall(parent)));
    let outcome = trace.take(9, CHILD, CHILD, of(TaskState::Moves));
    assert_eq!(outcome, Some(Outcome::Silent(Reason::OthersCanWake)));
    assert_eq!((trace.unaccounted(), trace.judge.harmless()), (vec![], 1));
    // Who is not known may be able to run: that is no hang, and no all-clear.
    trace.take(10, CHILD, CHILD, of(TaskState::Unknown));
    assert_eq!(trace.unaccounted(), [(CHILD, Unjudged::WakersUnknown)]);
    assert!(!trace.judge.hangs() && trace.judge.harmless() == 0);
    trace.take(11, CHILD, CHILD, of(TaskState::Moves));
    assert_eq!(trace.unaccounted(), []);
}

#[test]
fn a_stall_that_goes_on_after_all_ends_its_finding_and_accounts_for_the_threads() {
    let mut trace = Trace::new();
    let found = trace.take(9, CHILD, CHILD, circle());
    assert!(matches!(found, Some(Outcome::Found(_))), "{found:?}");
    assert!(trace.judge.hangs() && !trace.judge.doubts());
    let over = trace.take(12, CHILD, CHILD, Body::Stall(Box::new(stall(TaskState::Moves))));
    assert!(matches!(over, Some(Outcome::Ended { .. })), "{over:?}");
    assert_eq!(trace.judge.harmless(), 1);
    assert!(!trace.judge.hangs() && trace.judge.doubts(), "what was reported was wrong");
}

/// The same, and the parent waits for the child's end.
fn circle() -> Body {
    let parent = TaskWait {
        call: 61,
        since_ns: 4 * SECOND,
        on: vec![On { thing: 1, fd: None, way: Way::Exit }],
        ..TaskWait::default()
    };
    let mut circle = stall(TaskState::Waits(parent));
    circle.things.push(Thing {
        kind: ThingKind::Children,
        users: vec![User { pid: CHILD, writes: true, ..User::default() }],
        ..Thing::default()
    });
    Body::Stall(Box::new(circle))
}

/// The worker waits, and the first thread waits for the end of the worker.
fn all_wait() -> Body {
    let first = Doing::Futex { uaddr: 0x7000, op: 0x109, val: u64::from(WORKER), timed: false };
    let mut evidence = evidence(first);
    for thread in &mut evidence.threads {
        thread.private = Some(true);
    }
    (evidence.handlers, evidence.timers) = (Some(0), Some(0));
    look(evidence)
}

#[test]
fn a_thread_that_ends_while_its_process_lives_on_was_stuck_no_more() {
    let found = || {
        let mut trace = Trace::new();
        let outcome = trace.take(9, CHILD, WORKER, all_wait());
        assert!(matches!(outcome, Some(Outcome::Found(_))), "{outcome:?}");
        assert!(trace.judge.hangs());
        trace.exit(10, WORKER);
        trace
    };
    let mut lives = found();
    lives.take(11, CHILD, CHILD, Body::ThreadStart(ThreadStart { child_tid: 202, clone_flags: 0 }));
    assert!(!lives.judge.hangs() && lives.judge.doubts());
    assert_eq!(lives.judge.findings()[0].ended_after_ns, Some(5 * SECOND));
    let mut killed = found();
    killed.take(10, CHILD, CHILD, Body::ProcessExit(ProcessExit::default()));
    killed.take(
        20,
        PARENT,
        PARENT,
        Body::ThreadExit(ThreadExit { group_dead: Some(false), ended: None }),
    );
    assert!(killed.judge.hangs(), "it hung until its process was ended");
}

#[test]
fn of_one_process_there_are_findings_of_one_view_and_the_surer_stays() {
    let of = |bodies: [(u32, Body); 2], first: Confidence| {
        let mut trace = Trace::new();
        for (tid, body) in bodies {
            trace.take(9, CHILD, tid, body);
            trace.judge.findings.first_mut().unwrap().finding.confidence = first;
        }
        let views = trace.judge.findings.iter().map(|one| one.finding.stall().is_some());
        views.collect::<Vec<_>>()
    };
    let (wait, stall) = (|| (WORKER, all_wait()), || (CHILD, circle()));
    let certain = Confidence::Certain;
    assert_eq!(of([wait(), stall()], certain), [false], "as sure: a single wait says why");
    assert_eq!(of([wait(), stall()], Confidence::Likely), [false], "it is shown, and says why");
    assert_eq!(of([wait(), stall()], Confidence::Suspect), [true], "the surer one");
    assert_eq!(of([stall(), wait()], certain), [true], "the surer one");
    assert_eq!(of([stall(), wait()], Confidence::Likely), [false], "as sure");
}

#[test]
fn what_the_log_tells_by_name_is_added_and_makes_no_doubts_of_its_own() {
    let mut trace = Trace::new();
    trace.take(9, CHILD, WORKER, unreadable());
    let told = |why| Body::WaitUnjudged(Box::new(UnjudgedWait { why, ..UnjudgedWait::default() }));
    trace.take(10, CHILD, WORKER, told(Unjudged::Unreadable));
    trace.take(10, CHILD, CHILD, told(Unjudged::UnknownLock));
    assert_eq!(trace.unaccounted(), [(WORKER, Unjudged::Unreadable)], "judged better today");
    trace.take(10, CHILD, CHILD, told(Unjudged::NotSampled));
    let (waits, _) = trace.judge.unaccounted(&trace.model);
    assert_eq!(waits.len(), 2);
}

#[test]
fn a_busy_thread_is_not_accounted_for_until_its_loop_has_ended() {
    until_it_is_over(Unjudged::Busy);
    until_it_is_over(Unjudged::Polls);
}

fn until_it_is_over(why: Unjudged) {
    let told = |over| {
        let wait = UnjudgedWait { why, over, ..UnjudgedWait::default() };
        Body::WaitUnjudged(Box::new(wait))
    };
    let after = |last: Option<Body>| {
        let mut trace = Trace::new();
        trace.take(9, CHILD, CHILD, told(false));
        if let Some(last) = last {
            trace.take(12, CHILD, CHILD, last);
        }
        trace.unaccounted()
    };
    let exit = |ended| Some(Body::ProcessExit(ProcessExit { ended }));
    let busy = [(CHILD, why)];
    assert_eq!(after(None), busy);
    assert_eq!(after(Some(told(true))), []);
    assert_eq!(after(exit(Some(Ended::Code(1)))), [], "it came out of its loop by itself");
    assert_eq!(after(exit(Some(Ended::Signal(9)))), busy, "it was killed in it");
    assert_eq!(after(exit(None)), busy, "how it ended is not known");
    assert_eq!(after(Some(Body::ProcessExec(ProcessExec::default()))), []);
}

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use super::signals::tests::thread;
use crate::{
    event::{
        Body, Doing, Event, LostThread, LostThreads, Module, OtherThread, ProcessFork,
        ProcessSnapshot, PythonFrame, Task, ThreadName, ThreadStart, stall::Runtime,
    },
    finding::{Confidence, Finding, HazardId, Remedy, Rule, Severity},
    hazards::{Verdict, judge},
    judge::{Judge, Outcome},
    model::Model,
};

const PARENT: u32 = 10;
const CHILD: u32 = 20;
const FORK: u64 = 1_000;
const SECOND: u64 = 1_000_000_000;

fn task(pid: u32, comm: &str) -> Option<Task> {
    Some(Task { pid, tid: pid, comm: comm.into() })
}

/// A server that forks beside a thread `refresher`.
fn model() -> Model {
    let mut model = Model::default();
    let threads = [(PARENT, "server"), (11, "refresher")];
    let threads = threads.map(|(tid, comm)| ThreadName { tid, comm: comm.into() }).to_vec();
    let seen = ProcessSnapshot { threads, start_ns: 1, ..ProcessSnapshot::default() };
    let fork = ProcessFork { child_pid: CHILD, clone_flags: 0 };
    for (boot_ns, body) in [(2, Body::ProcessSnapshot(seen)), (FORK, Body::ProcessFork(fork))] {
        model.apply(&Event { boot_ns, task: task(PARENT, "server"), body });
    }
    model
}

/// A thread that waited for a condition variable which has been signalled once since the fork.
fn signalled() -> LostThread {
    thread(40, 0, &[(0, 2), (36, 8), (16, 2)], &[(0, 3), (36, 8), (16, 2), (40, 2)])
}

/// A thread of Python that waited for a lock which was released since the fork.
fn released(file: &str, function: &str) -> LostThread {
    let frame = PythonFrame { file: file.into(), line: 7, function: function.into() };
    let python = if file.is_empty() { Vec::new() } else { vec![frame] };
    LostThread { python, ..thread(0, 0, &[(4, 1)], &[(0, 1), (4, 1)]) }
}

fn lost(thread: LostThread) -> LostThreads {
    LostThreads {
        fork_ns: FORK,
        seen_ns: FORK + 100,
        threads: vec![thread],
        ..LostThreads::default()
    }
}

fn event(lost: LostThreads, boot_ns: u64) -> Event {
    Event { boot_ns, task: task(CHILD, "server"), body: Body::LostThreads(Box::new(lost)) }
}

fn finding(lost: LostThreads, boot_ns: u64) -> Option<Finding> {
    match judge(&event(lost, boot_ns), &model()) {
        Verdict::Finding(finding) if finding.hazard == HazardId::ThreadsLost => Some(*finding),
        _ => None,
    }
}

fn confidence(lost: LostThreads, boot_ns: u64) -> Option<Confidence> {
    finding(lost, boot_ns).map(|finding| finding.confidence)
}

#[test]
fn work_that_nobody_took_for_long_is_likely_lost() {
    let one = finding(lost(signalled()), 6 * SECOND).unwrap();
    assert_eq!((one.confidence, one.severity), (Confidence::Likely, Severity::Corruption));
    assert!(one.has(Rule::WorkForLostThread) && one.has(Rule::NoOtherThread));
    let detail = one.threads().unwrap();
    let work = detail.threads[0].work.as_ref().unwrap();
    assert_eq!((work.signals, detail.seen_after_ns), (1, Some(100)));
    assert_eq!(confidence(lost(signalled()), SECOND), Some(Confidence::Suspect), "not long yet");
}

#[test]
fn never_certain() {
    let named = LostThread { comm: "rdk:main".into(), ..signalled() };
    assert_eq!(confidence(lost(named.clone()), SECOND), Some(Confidence::Likely));
    assert_eq!(confidence(lost(named), 900 * SECOND), Some(Confidence::Likely));
}

#[test]
fn a_known_library_gets_its_own_advice() {
    let named = |comm: &str| LostThread { comm: comm.into(), ..signalled() };
    for (comm, remedy) in [
        ("OtelBatchSpanRe", Remedy::Opentelemetry),
        ("rdk:broker-1", Remedy::Librdkafka),
        ("ZMQbg/IO/0", Remedy::Zeromq),
        ("pymongo_kill_cu", Remedy::Pymongo),
        ("refresher", Remedy::StartThreads),
    ] {
        let found = finding(lost(named(comm)), 6 * SECOND).unwrap();
        assert_eq!(found.remedy, Some(remedy), "{comm}");
    }
}

fn beside(comm: &str, doing: Doing) -> LostThreads {
    let other = OtherThread { tid: 21, comm: comm.into(), doing };
    LostThreads { others: vec![other], ..lost(signalled()) }
}

#[test]
fn another_thread_may_take_the_work() {
    let other = beside("worker", Doing::Running);
    assert_eq!(confidence(other, 60 * SECOND), Some(Confidence::Suspect));
    // It waits for the same condition variable, in its other group.
    let doing =
        Doing::Futex { uaddr: super::signals::tests::BASE + 44, op: 393, val: 0, timed: false };
    assert_eq!(confidence(beside("worker", doing), 60 * SECOND), None);
    let mut served = lost(signalled());
    served.threads[0].word.as_mut().unwrap().waiters = 1;
    assert_eq!(confidence(served, 60 * SECOND), None);
}

#[test]
fn a_library_that_has_made_its_thread_again_is_a_suspect() {
    let mut again = beside("rdk:main", Doing::Running);
    again.threads[0].comm = "rdk:main".into();
    assert_eq!(confidence(again.clone(), 60 * SECOND), Some(Confidence::Suspect));
    again.others[0].comm = "other".into();
    assert_eq!(confidence(again, 60 * SECOND), Some(Confidence::Likely));
}

#[test]
fn what_wakes_its_threads_to_end_has_no_work_for_them() {
    let ending = LostThreads { ending: Some(true), ..lost(signalled()) };
    assert_eq!(confidence(ending, 60 * SECOND), None);
}

#[test]
fn a_word_that_did_not_change_or_is_a_runtimes_is_none() {
    let mut unchanged =
        lost(thread(40, 0, &[(0, 2), (36, 8), (16, 2)], &[(0, 2), (36, 8), (16, 2)]));
    unchanged.threads[0].word.as_mut().unwrap().changed_ns = None;
    assert_eq!(confidence(unchanged, 60 * SECOND), None);
    let mut gil = lost(signalled());
    gil.threads[0].word.as_mut().unwrap().module =
        Some(Module { path: "/usr/lib/libpython3.11.so.1.0".into(), address: 0 });
    assert_eq!(confidence(gil, 60 * SECOND), None);
    let sleeps = LostThread { doing: Doing::Syscall(230), word: None, ..signalled() };
    assert_eq!(confidence(lost(sleeps), 60 * SECOND), None);
}

#[test]
fn a_lock_of_python_that_was_released_is_no_work() {
    let of_python = |file: &str, function: &str| LostThreads {
        runtime: Some(Runtime::Python),
        ..lost(released(file, function))
    };
    let library = "/usr/lib/python3.11/threading.py";
    let at = |file, function| confidence(of_python(file, function), 60 * SECOND);
    assert_eq!(at(library, "wait"), Some(Confidence::Likely));
    assert_eq!(at(library, "Condition.wait"), Some(Confidence::Likely));
    assert_eq!(
        at("/usr/lib/python3.11/concurrent/futures/thread.py", "_worker"),
        Some(Confidence::Likely)
    );
    assert_eq!(at("/srv/app/app.py", "update"), None);
    assert_eq!(at("", ""), Some(Confidence::Suspect), "its frames are not known");
    // In C it is a semaphore that was posted.
    assert_eq!(confidence(lost(released("", "")), 60 * SECOND), Some(Confidence::Likely));
}

#[test]
fn a_fork_beside_threads_is_a_finding_where_it_is_asked_for() {
    let mut unchanged = lost(signalled());
    unchanged.threads[0].word = None;
    let model = model();
    let first = event(unchanged, SECOND);
    assert_eq!(Judge::default().apply(&first, &model), None);
    let mut judge = Judge::default();
    judge.set_audit(true);
    let Some(Outcome::Found(found)) = judge.apply(&first, &model) else { panic!("no finding") };
    assert_eq!((found.hazard, found.severity), (HazardId::ForkWithThreads, Severity::Risk));
    assert_eq!(found.confidence, Confidence::Certain);
    assert!(!judge.hangs() && !judge.doubts());
    // The same fork again, and another child of the same place.
    assert_eq!(judge.apply(&first, &model), None);
}

#[test]
fn names_of_lost_threads_are_those_of_the_look_at_them() {
    let mut model = model();
    let renamed = LostThread { tid: 11, comm: "OtelBatchSpanRe".into(), ..LostThread::default() };
    model.apply(&event(lost(renamed), SECOND));
    let fork = model.live(CHILD).unwrap().inherited().unwrap();
    assert_eq!(fork.lost[0].comm, "OtelBatchSpanRe");
    let forks = model.threaded_forks();
    assert_eq!((forks[0].forks, forks[0].threads), (1, 1));
    assert!(forks[0].names.contains_key("OtelBatchSpanRe"), "{forks:?}");
    // Also for the next child.
    let start = Body::ThreadStart(ThreadStart { child_tid: 12, clone_flags: 0 });
    model.apply(&Event { boot_ns: 2 * SECOND, task: task(PARENT, "server"), body: start });
    let fork = Body::ProcessFork(ProcessFork { child_pid: 30, clone_flags: 0 });
    model.apply(&Event { boot_ns: 3 * SECOND, task: task(PARENT, "server"), body: fork });
    assert!(model.threaded_forks()[0].names.get("OtelBatchSpanRe") == Some(&2));
}

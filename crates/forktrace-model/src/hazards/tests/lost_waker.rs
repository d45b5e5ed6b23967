//! Waits that nobody is left to end.

use super::*;
use crate::event::{Module, PythonFrame, Unjudged};

/// FUTEX_WAIT with the shared op: how `std::atomic::wait` and `pthread_join` wait.
const ATOMIC_OP: u32 = 0;

/// A word that is 3 at the fork and still.
fn event_word() -> Scene {
    let word = || window(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    Scene::new(ATOMIC_OP, 3, word(), word())
}

type Change = fn(&mut Scene);

#[test]
fn a_wait_for_a_vanished_thread_is_certain() {
    let finding = event_word().finding();
    assert_eq!((finding.hazard, finding.confidence), (HazardId::LostWaker, Confidence::Certain));
    assert_eq!(
        (finding.lock().unwrap().family.name, finding.holder().cloned()),
        ("futex word", None)
    );
    assert!(finding.has(Rule::ThreadsLost) && finding.has(Rule::UnchangedSinceFork));
}

#[test]
fn what_the_word_was_at_the_fork_changes_nothing() {
    let changes: [Change; 8] = [
        |s| s.evidence.at_fork = AtFork::Unknown(Missing::NoFault),
        |s| s.evidence.at_fork = AtFork::Known(window(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        |s| s.evidence.at_fork = AtFork::Known(window(&[0; 10])),
        |s| s.evidence.now = Some(window(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        |s| s.evidence.wakes_since_fork = Some(1),
        |s| (s.evidence.wakes_since_fork, s.after_fork) = (None, had_another_thread()),
        |s| s.evidence.mapping.as_mut().unwrap().path = "[stack]".into(),
        |s| s.evidence.module = Some(Module { path: "/usr/bin/a".into(), address: 0x4010 }),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut scene = event_word();
        change(&mut scene);
        scene.expect_lost_waker(Confidence::Certain, &at.to_string());
    }
    let mut timed = event_word();
    timed.evidence.wait.timed = true;
    assert_eq!(timed.judge(), Verdict::Innocent(Reason::Timed));
    let mut shared = event_word();
    shared.evidence.mapping.as_mut().unwrap().shared = true;
    assert_eq!(shared.judge(), Verdict::Innocent(Reason::SharedMapping));
}

#[test]
fn what_was_not_inherited_is_innocent_only_while_somebody_can_run() {
    let free: Change = |s| s.evidence.at_fork = AtFork::Known(mutex(0, 0));
    let changed: Change = |s| s.evidence.now = Some(mutex(2, 4711));
    let owned: Change = |s| s.evidence.now = Some(mutex(2, HELPER));
    let woken: Change = |s| {
        let wakes = Some(1);
        s.evidence =
            Evidence { wakes_since_fork: wakes, ..Scene::semaphore().with_live_helper().evidence };
    };
    let innocent = [
        (free, Reason::FreeAtFork),
        (changed, Reason::OwnerChanged),
        (owned, Reason::OwnedByChild),
        (woken, Reason::WokenSince),
    ];
    for (change, reason) in innocent {
        let mut scene = Scene::mutex().with_live_helper();
        change(&mut scene);
        assert_eq!(scene.judge(), Verdict::Innocent(reason));
        scene.evidence.threads.truncate(1);
        scene.expect_lost_waker(Confidence::Certain, &format!("{reason:?}, and nobody is left"));
    }
}

#[test]
fn where_no_thread_was_lost_the_program_may_mean_it() {
    let mut alone = event_word();
    alone.parent_threads = vec![PARENT];
    alone.expect_lost_waker(Confidence::Likely, "one thread");
    alone.evidence.threads.push(sample(HELPER, in_futex(SEM_OP, false), false));
    alone.expect_lost_waker(Confidence::Likely, "two that wait for each other");
    assert!(alone.finding().has(Rule::NoThreadLost));
    // The parent was itself forked, by a process with another thread.
    let threads = [50, 51].map(|tid| ThreadName { tid, comm: String::new() });
    let seen = ProcessSnapshot { threads: threads.to_vec(), ..Default::default() };
    let fork = ProcessFork { child_pid: PARENT, clone_flags: 0x0120_0000 };
    let mut grandchild = event_word();
    grandchild.before = vec![
        event(2 * SECOND, 50, 50, Body::ProcessSnapshot(seen)),
        event(3 * SECOND, 50, 50, Body::ProcessFork(fork)),
    ];
    grandchild.expect_lost_waker(Confidence::Certain, "lost by an earlier fork");
}

#[test]
fn of_several_threads_that_cannot_run_one_speaks_for_all() {
    let as_task = |scene: &Scene, tid: u32| {
        let look = Body::Evidence(Box::new(scene.evidence.clone()));
        judge(&event(11 * SECOND, CHILD, tid, look), &scene.model())
    };
    let is_found = |verdict: Verdict| match verdict {
        Verdict::Finding(finding) => {
            assert!(finding.has(Rule::AllThreadsBlocked));
            finding.confidence == Confidence::Certain
        }
        Verdict::Open(Reason::StuckWithAnother) => false,
        other => panic!("{other:?}"),
    };
    let mut scene = event_word();
    scene.evidence.threads[0].private = Some(true);
    scene.evidence.threads.push(sample(HELPER, in_futex(SEM_OP, false), false));
    assert!(is_found(as_task(&scene, CHILD)) && !is_found(as_task(&scene, HELPER)));
    // The first thread waits for the end of the other, in memory that is private.
    let join = Doing::Futex { uaddr: 0x7000, op: 0x109, val: u64::from(HELPER), timed: false };
    let joins = ThreadSample { private: Some(true), ..sample(CHILD, join, false) };
    scene.evidence.threads[0] = joins;
    assert!(!is_found(as_task(&scene, CHILD)) && is_found(as_task(&scene, HELPER)));
    scene.evidence.threads[0].private = None;
    assert_eq!(as_task(&scene, HELPER), Verdict::Open(Reason::UnknownLock), "an old log");
    // It has ended.
    scene.evidence.threads.remove(0);
    scene.evidence.threads.push(sample(HELPER + 1, in_futex(SEM_OP, false), false));
    assert!(is_found(as_task(&scene, HELPER)) && !is_found(as_task(&scene, HELPER + 1)));
}

#[test]
fn beside_a_thread_that_can_run_it_is_no_finding() {
    let others = Verdict::Open(Reason::OthersCanWake);
    let unknown = Verdict::Open(Reason::UnknownLock);
    let mut word = event_word().with_live_helper();
    assert_eq!(word.judge(), unknown, "it may be a lock of an unknown kind, held at the fork");
    word.evidence.at_fork = AtFork::Unknown(Missing::NoFault);
    assert_eq!(word.judge(), unknown);
    word.evidence.at_fork = AtFork::Known(window(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(word.judge(), unknown, "a lock that others wait for by now");
    word.evidence.at_fork = AtFork::Known(window(&[0; 10]));
    assert_eq!(word.judge(), others, "none was held there");
    // `pthread_barrier_t`: in, round, count, shared, out.
    let barrier = || window(&[1, 0, 2, 0, 0, 0, 0, 0]);
    let mut known = Scene::new(MUTEX_OP, 0, barrier(), barrier()).with_live_helper();
    known.evidence.wait.uaddr = UADDR + 4;
    assert_eq!(known.judge(), others, "nobody holds a barrier");
    let mut unseen = event_word();
    unseen.evidence.threads[0].tid = HELPER;
    assert_eq!(unseen.judge(), unknown, "the waiter was not among the threads");
}

#[test]
fn handlers_and_timers_may_wake_it() {
    let with = |handlers, timers| {
        let mut scene = event_word();
        scene.evidence.python = Python::None(Python::NO_PYTHON.into());
        (scene.evidence.handlers, scene.evidence.timers) = (handlers, timers);
        scene.confidence()
    };
    let (sigint, sigterm, sigsegv) = (1 << 1, 1 << 14, 1 << 10);
    assert_eq!(with(Some(sigsegv), Some(0)), Confidence::Certain);
    assert_eq!(with(Some(sigterm), Some(0)), Confidence::Suspect);
    assert_eq!(with(Some(sigint), Some(0)), Confidence::Suspect, "it is not Python's");
    assert_eq!(with(None, Some(0)), Confidence::Suspect);
    assert_eq!(with(Some(0), Some(1)), Confidence::Suspect);
}

#[test]
fn what_a_runtime_handles_by_itself_is_not_there_to_wake_anybody() {
    let frame = |symbol: &str, module: &str| Frame {
        symbol: Some(symbol.into()),
        module: Some(module.into()),
        ..Frame::default()
    };
    let with = |frame: Frame, handlers: u64| {
        let mut scene = event_word();
        scene.evidence.python = Python::None(Python::NO_PYTHON.into());
        scene.evidence.handlers = Some(handlers);
        let stack = Stack { frames: vec![frame], cut: None };
        scene.evidence.native = Some(Box::new(NativeStacks { stack, ..NativeStacks::default() }));
        scene.confidence()
    };
    let (sigterm, sigurg, sigpipe, sigio) = (1 << 14, 1 << 22, 1 << 12, 1 << 28);
    let go = || frame("runtime.futex.abi0", "/srv/libgo.so");
    assert_eq!(with(go(), sigurg | sigpipe), Confidence::Likely);
    assert_eq!(with(go(), !0), Confidence::Likely, "a program in Go handles all");
    assert_eq!(with(go(), sigurg | sigterm), Confidence::Suspect, "the program's own");
    assert_eq!(with(frame("runtime::futex", "/srv/app"), sigurg), Confidence::Suspect);
    let ruby = || frame("rb_native_cond_wait", "/usr/lib/libruby-3.1.so.3.1");
    assert_eq!(with(ruby(), sigterm), Confidence::Likely);
    assert_eq!(with(ruby(), sigterm | sigio), Confidence::Suspect);
    assert_eq!(with(frame("main", "/usr/bin/ruby"), sigterm), Confidence::Likely);
    assert_eq!(with(frame("main", "/usr/bin/rubygame"), sigterm), Confidence::Suspect);
    assert_eq!(
        with(frame("os::PlatformEvent::park", "/jvm/libjvm.so"), sigterm),
        Confidence::Likely
    );
    // Python runs no handler before native code returns.
    let mut native = event_word();
    native.evidence.handlers = Some(sigterm);
    native.evidence.python = Python::Frames(vec![PythonFrame::default()]);
    native.expect_lost_waker(Confidence::Likely, "SIGTERM in native code below Python");
    assert!(native.finding().has(Rule::RuntimeHandlers));
}

fn frame(file: &str, function: &str) -> PythonFrame {
    PythonFrame { file: format!("/usr/lib/{file}"), line: 1, function: function.to_owned() }
}

/// A lock that a wait of Python's library has made, in these functions.
fn signal(frames: &[(&str, &str)]) -> Scene {
    let mut scene = Scene::new(SEM_OP, 0, sem(1, 0), sem(0, 1));
    let frames = frames.iter().map(|(file, function)| frame(file, function));
    scene.evidence.python = Python::Frames(frames.collect());
    scene.evidence.native = Some(Box::default());
    scene
}

const WAIT: (&str, &str) = ("threading.py", "Condition.wait");
const EVENT: (&str, &str) = ("threading.py", "Event.wait");
const BASE: &str = "concurrent/futures/_base.py";

#[test]
fn a_wait_of_pythons_library_that_nobody_is_left_to_end() {
    let work: [&[(&str, &str)]; 9] = [
        &[WAIT, ("queue.py", "Queue.get")],
        &[WAIT, ("queue.py", "Queue.join")],
        &[WAIT, ("threading.py", "Semaphore.acquire")],
        &[
            WAIT,
            ("threading.py", "Condition.wait_for"),
            ("threading.py", "Barrier._wait"),
            ("threading.py", "Barrier.wait"),
        ],
        &[WAIT, (BASE, "Future.result")],
        &[WAIT, EVENT, (BASE, "wait")],
        &[WAIT, EVENT, ("multiprocessing/pool.py", "ApplyResult.wait")],
        &[("threading.py", "Thread._wait_for_tstate_lock"), ("threading.py", "Thread.join")],
        &[("threading.py", "Thread.join")],
    ];
    for frames in work {
        signal(frames).expect_lost_waker(Confidence::Certain, &format!("{frames:?}"));
        let living = signal(frames).with_live_helper();
        assert_eq!(living.judge(), Verdict::Open(Reason::OthersCanWake));
        let mut handled = signal(frames);
        handled.evidence.handlers = Some(1 << 14);
        handled.expect_lost_waker(Confidence::Likely, "nobody gives that in a handler");
        handled.evidence.handlers = Some(1 << 13);
        handled.expect_lost_waker(Confidence::Suspect, "SIGALRM throws it out after a time");
        let mut alone = signal(frames);
        alone.parent_threads = vec![PARENT];
        alone.expect_lost_waker(Confidence::Likely, "no thread was lost");
    }
    signal(&[WAIT, ("app.py", "work")]).expect_lost_waker(Confidence::Certain, "a condition");
    let mut sleeps = signal(&[WAIT, EVENT, ("app.py", "main")]);
    sleeps.expect_lost_waker(Confidence::Likely, "an event is a way to sleep, too");
    assert!(sleeps.finding().has(Rule::MaySleep));
    sleeps.evidence.handlers = Some(1 << 14);
    sleeps.expect_lost_waker(Confidence::Suspect, "a handler may set it");
}

#[test]
fn a_queue_in_c_is_a_signal_by_its_type() {
    let mut scene = Scene::semaphore();
    scene.evidence.python = Python::Frames(vec![frame("app.py", "work")]);
    let queue =
        crate::event::PythonLock { type_name: "_queue.SimpleQueue".into(), ..Default::default() };
    scene.evidence.python_lock = Some(queue);
    scene.expect_lost_waker(Confidence::Certain, "its semaphore is at zero while it is empty");
    assert_eq!(scene.with_live_helper().judge(), Verdict::Open(Reason::OthersCanWake));
}

#[test]
fn a_thread_of_python_that_joins_another_leaves_it_to_that_one() {
    let mut scene = signal(&[("threading.py", "Thread.join")]);
    scene.evidence.threads.push(sample(HELPER, in_futex(SEM_OP, false), false));
    let known = |tid: u32, function: &str| crate::event::PythonThread {
        tid: Some(tid),
        innermost: Some(frame("threading.py", function)),
        ..Default::default()
    };
    scene.evidence.python_threads =
        vec![known(CHILD, "Thread.join"), known(HELPER, "Condition.wait")];
    assert_eq!(scene.judge(), Verdict::Open(Reason::StuckWithAnother));
    scene.evidence.python_threads[0] = known(CHILD, "Condition.wait");
    scene.expect_lost_waker(Confidence::Certain, "it does not join");
}

#[test]
fn a_wait_that_cannot_be_judged_is_counted_until_it_ends() {
    let mut scene = Scene::mutex();
    scene.evidence.wait.op = 0x1_0000;
    let model = scene.model();
    let mut judge = Judge::default();
    let look = Body::Evidence(Box::new(scene.evidence.clone()));
    let outcome = judge.apply(&event(11 * SECOND, CHILD, CHILD, look), &model);
    assert_eq!(outcome, Some(Outcome::Silent(Reason::UnknownLock)));
    let unjudged = |judge: &Judge| judge.unaccounted(&model).1.get(&Unjudged::UnknownLock).copied();
    assert_eq!(unjudged(&judge), Some(1));
    let back =
        crate::event::FutexWait { wait: scene.evidence.wait.clone(), result: Some(0), over: false };
    judge.apply(&event(12 * SECOND, CHILD, CHILD, Body::FutexWait(back)), &model);
    assert_eq!(unjudged(&judge), None);
}

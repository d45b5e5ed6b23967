//! The rules, each on a hand-made trace of one fork and one look at the child's wait.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod duplicated_prng;
mod forgotten;
mod indirect;
mod kinds;
mod library;
mod lost_waker;
mod ownerless_lock;
mod probed;
mod remedies;
mod stacks;
mod unflushed_buffer;
mod unobserved_fork;

use super::*;
use crate::event::{
    AtFork, Body, Doing, EventsLost, Evidence, Mapping, Missing, Place, ProcessExec, ProcessFork,
    ProcessSnapshot, Python, Task, ThreadExit, ThreadName, ThreadSample, ThreadStart, TraceStart,
    Wait, Window,
    stacks::{Frame, NativeStacks, Stack},
};
use crate::finding::{Confidence, Fact, HazardId, LockPlace, Rule};
use crate::judge::{Judge, Outcome};

const PARENT: u32 = 100;
const POLLER: u32 = 101;
const CHILD: u32 = 200;
const HELPER: u32 = 201;
const UADDR: u64 = 0x5000_0000_1010;
/// FUTEX_WAIT | FUTEX_PRIVATE_FLAG: how a glibc mutex waits.
const MUTEX_OP: u32 = 128;
/// FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME: how sem_wait waits.
const SEM_OP: u32 = 393;
const SECOND: u64 = 1_000_000_000;

/// A trace and a look that lead to a certain finding; each test changes what it is about.
struct Scene {
    parent_threads: Vec<u32>,
    before: Vec<Event>,
    after_fork: Vec<Event>,
    evidence: Evidence,
}

fn task(pid: u32, tid: u32) -> Option<Task> {
    Some(Task { pid, tid, comm: format!("t{tid}") })
}

fn event(boot_ns: u64, pid: u32, tid: u32, body: Body) -> Event {
    Event { boot_ns, task: task(pid, tid), body }
}

/// Memory from 16 bytes before the word: a malloc chunk header, then the lock.
fn window(words: &[u32]) -> Window {
    let header = [0u32, 0, 0x31, 0];
    let bytes = header.iter().chain(words).flat_map(|word| word.to_le_bytes()).collect();
    Window { address: UADDR - 16, bytes }
}

/// `pthread_mutex_t`: lock, count, owner, nusers, kind, …
fn mutex(lock: u32, owner: u32) -> Window {
    window(&[lock, 0, owner, u32::from(owner != 0), 0, 0, 0, 0, 0, 0])
}

/// `sem_t`: value, waiters, private, pad.
fn sem(value: u32, waiters: u32) -> Window {
    window(&[value, waiters, 0, 0, 0, 0, 0, 0])
}

fn sample(tid: u32, doing: Doing, ran: bool) -> ThreadSample {
    ThreadSample { tid, comm: format!("t{tid}"), doing, ran: Some(ran), ..ThreadSample::default() }
}

fn in_futex(op: u32, timed: bool) -> Doing {
    Doing::Futex { uaddr: UADDR, op, val: 2, timed }
}

impl Scene {
    fn new(op: u32, val: u64, at_fork: Window, now: Window) -> Self {
        let wait = Wait { enter_ns: 10 * SECOND, uaddr: UADDR, op, val, ..Wait::default() };
        Scene {
            parent_threads: vec![PARENT, POLLER],
            before: Vec::new(),
            after_fork: Vec::new(),
            evidence: Evidence {
                wait,
                still_waiting: true,
                mapping: Some(Mapping {
                    start: 0x5000_0000_0000,
                    end: 0x5000_0010_0000,
                    perms: "rw-p".into(),
                    path: "[heap]".into(),
                    ..Mapping::default()
                }),
                now: Some(now),
                at_fork: AtFork::Known(at_fork),
                wakes_since_fork: Some(0),
                threads: vec![sample(CHILD, in_futex(op, false), false)],
                handlers: Some(0),
                timers: Some(0),
                ..Evidence::default()
            },
        }
    }

    /// A sem_t at zero at the fork: a Python lock up to 3.12.
    fn semaphore() -> Self {
        Scene::new(SEM_OP, 0, sem(0, 0), sem(0, 1))
    }

    /// A mutex held by the parent's other thread at the fork.
    fn mutex() -> Self {
        Scene::new(MUTEX_OP, 2, mutex(1, POLLER), mutex(2, POLLER))
    }

    /// Nothing sees the child's wakes.
    fn without_wakes(mut self) -> Self {
        self.evidence.wakes_since_fork = None;
        self
    }

    /// The child has a second thread, which is running.
    fn with_live_helper(mut self) -> Self {
        self.evidence.threads.push(sample(HELPER, Doing::Running, true));
        self
    }

    fn model(&self) -> Model {
        let mut model = Model::default();
        let threads = self.parent_threads.iter();
        let threads = threads.map(|tid| ThreadName { tid: *tid, comm: format!("t{tid}") });
        let snapshot = ProcessSnapshot { threads: threads.collect(), ..Default::default() };
        model.apply(&event(SECOND, PARENT, PARENT, Body::ProcessSnapshot(snapshot)));
        for event in &self.before {
            model.apply(event);
        }
        let fork = ProcessFork { child_pid: CHILD, clone_flags: 0x0120_0000 };
        model.apply(&event(5 * SECOND, PARENT, PARENT, Body::ProcessFork(fork)));
        for event in &self.after_fork {
            model.apply(event);
        }
        model
    }

    fn judge(&self) -> Verdict {
        let look = Body::Evidence(Box::new(self.evidence.clone()));
        judge(&event(11 * SECOND, CHILD, CHILD, look), &self.model())
    }

    /// The wait can never end, and nothing is said of a lock that was inherited.
    fn expect_lost_waker(&self, confidence: Confidence, why: &str) {
        let finding = self.finding();
        assert_eq!(
            (finding.hazard, finding.confidence),
            (HazardId::LostWaker, confidence),
            "{why}"
        );
    }

    fn confidence(&self) -> Confidence {
        match self.judge() {
            Verdict::Finding(finding) => finding.confidence,
            other => panic!("expected a finding, got {other:?}"),
        }
    }

    fn finding(&self) -> Finding {
        match self.judge() {
            Verdict::Finding(finding) => *finding,
            other => panic!("expected a finding, got {other:?}"),
        }
    }
}

#[test]
fn a_lock_held_at_the_fork_in_a_child_with_nobody_left_is_certain() {
    let finding = Scene::semaphore().finding();
    assert_eq!(finding.confidence, Confidence::Certain);
    assert_eq!(finding.wait().unwrap().waited_ns, SECOND);
    assert_eq!(finding.lock().unwrap().value_at_fork, Some(0));
    assert_eq!(finding.holder().cloned(), None, "a semaphore does not say who has it");
    let fork = finding.fork_site().unwrap();
    assert_eq!((fork.by_pid, fork.by_tid, fork.threads_lost), (PARENT, PARENT, 1));
}

#[test]
fn a_parent_alone_at_the_fork_had_the_lock_itself() {
    let mut scene = Scene::semaphore();
    scene.parent_threads = vec![PARENT];
    assert_eq!(scene.finding().holder().cloned().unwrap().tid, PARENT);
}

#[test]
fn an_unchanged_foreign_owner_is_certain_even_beside_living_threads() {
    let finding = Scene::mutex().with_live_helper().finding();
    assert_eq!(finding.confidence, Confidence::Certain);
    let holder = finding.holder().cloned().unwrap();
    assert_eq!((holder.tid, holder.comm.as_deref()), (POLLER, Some("t101")));
}

#[test]
fn the_heir_of_the_forking_thread_may_release_what_it_holds() {
    let mut scene = Scene::new(MUTEX_OP, 2, mutex(1, PARENT), mutex(2, PARENT));
    assert_eq!(scene.confidence(), Confidence::Certain, "nobody else is there");
    scene = scene.with_live_helper();
    assert_eq!(scene.confidence(), Confidence::Suspect);
}

#[test]
fn an_ownerless_lock_beside_a_living_thread_is_a_suspect() {
    assert_eq!(Scene::semaphore().with_live_helper().confidence(), Confidence::Suspect);
}

#[test]
fn all_threads_blocked_is_as_good_as_a_single_thread() {
    let mut scene = Scene::semaphore();
    scene.evidence.threads.push(sample(HELPER, in_futex(SEM_OP, false), false));
    assert_eq!(scene.confidence(), Confidence::Certain);
    let blocked_otherwise = [
        (in_futex(SEM_OP, true), false, "its wait is timed"),
        (in_futex(SEM_OP & !128, false), false, "another process may wake it"),
        (in_futex(SEM_OP, false), true, "it ran meanwhile"),
        (Doing::Syscall(0), false, "it may be reading from another process"),
        (Doing::Unknown, false, "what it does is not known"),
    ];
    for (doing, ran, why) in blocked_otherwise {
        scene.evidence.threads[1] = sample(HELPER, doing, ran);
        assert_eq!(scene.confidence(), Confidence::Suspect, "{why}");
    }
    scene.evidence.threads[1].ran = None;
    assert_eq!(scene.confidence(), Confidence::Suspect, "whether it ran is not known");
}

#[test]
fn handlers_and_timers_could_post_a_semaphore_but_not_unlock_a_mutex() {
    let sigterm = 1 << 14;
    for (handlers, timers, expected) in [
        (Some(1 << 1), Some(0), Confidence::Certain),
        (Some(sigterm), Some(0), Confidence::Suspect),
        (Some(0), Some(1), Confidence::Suspect),
        (None, Some(0), Confidence::Suspect),
    ] {
        let mut scene = Scene::semaphore();
        (scene.evidence.handlers, scene.evidence.timers) = (handlers, timers);
        assert_eq!(scene.confidence(), expected, "{handlers:?} {timers:?}");
    }
    let mut scene = Scene::mutex();
    scene.evidence.handlers = Some(sigterm);
    assert_eq!(scene.confidence(), Confidence::Certain);
}

#[test]
fn a_handler_of_sigint_counts_unless_it_may_be_the_one_of_python() {
    let mut scene = Scene::semaphore();
    scene.evidence.handlers = Some(1 << 1);
    assert_eq!(scene.confidence(), Confidence::Certain, "not known whether it is of Python");
    scene.evidence.python = Python::None(Python::NO_PYTHON.into());
    assert_eq!(scene.confidence(), Confidence::Suspect);
    scene.evidence.python = Python::Frames(Vec::new());
    assert_eq!(scene.confidence(), Confidence::Certain);
}

#[test]
fn gates_end_the_matter_in_silence() {
    type Change = fn(&mut Scene);
    let innocent: [(Change, Reason); 5] = [
        (|s| s.evidence.wait.timed = true, Reason::Timed),
        (|s| s.evidence.still_waiting = false, Reason::WaitEnded),
        (|s| s.evidence.mapping.as_mut().unwrap().shared = true, Reason::SharedMapping),
        (
            |s| {
                let exec = ProcessExec { old_tid: CHILD, filename: "/bin/true".into() };
                s.after_fork.push(event(6 * SECOND, CHILD, CHILD, Body::ProcessExec(exec)));
            },
            Reason::NotForked,
        ),
        (|s| s.evidence.wait.enter_ns = 4 * SECOND, Reason::NotForked),
    ];
    for (change, reason) in innocent {
        let mut scene = Scene::mutex();
        change(&mut scene);
        assert_eq!(scene.judge(), Verdict::Innocent(reason));
    }
}

#[test]
fn a_handler_could_wake_the_heir_who_has_the_lock() {
    let sigusr1 = 1 << 9;
    let scene = |waiter: u32, handlers| {
        let mut scene = Scene::new(MUTEX_OP, 2, mutex(1, PARENT), mutex(2, PARENT));
        scene.evidence.threads.push(sample(HELPER, in_futex(SEM_OP, false), false));
        scene.evidence.handlers = Some(handlers);
        let model = scene.model();
        let look = Body::Evidence(Box::new(scene.evidence.clone()));
        match judge(&event(11 * SECOND, CHILD, waiter, look), &model) {
            Verdict::Finding(finding) => finding.confidence,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(scene(HELPER, sigusr1), Confidence::Suspect);
    assert_eq!(scene(HELPER, 0), Confidence::Certain);
    assert_eq!(scene(CHILD, sigusr1), Confidence::Likely, "the heir waits itself");
}

/// The child makes a thread, which ends.
fn had_another_thread() -> Vec<Event> {
    let start = ThreadStart { child_tid: HELPER, clone_flags: 0x10100 };
    let exit = ThreadExit { group_dead: Some(false), ended: None };
    vec![
        event(6 * SECOND, CHILD, CHILD, Body::ThreadStart(start)),
        event(7 * SECOND, CHILD, HELPER, Body::ThreadExit(exit)),
    ]
}

#[test]
fn where_wakes_are_not_seen_only_who_could_wake_nobody_is_certain() {
    let alone = Scene::semaphore().without_wakes();
    assert_eq!(alone.confidence(), Confidence::Certain);
    let mut threaded = Scene::semaphore().without_wakes();
    threaded.after_fork = had_another_thread();
    let waited_for = Scene::new(SEM_OP, 0, sem(0, 1), sem(0, 2)).without_wakes();
    for scene in [threaded, waited_for] {
        let finding = scene.finding();
        assert_eq!(finding.confidence, Confidence::Likely);
        assert!(finding.has(Rule::WakesUnknown));
        let mut seen = scene;
        seen.evidence.wakes_since_fork = Some(0);
        assert_eq!(seen.confidence(), Confidence::Certain);
    }
    let mut owned = Scene::mutex().without_wakes();
    owned.after_fork = had_another_thread();
    assert_eq!(owned.confidence(), Confidence::Certain, "the owner decides");
}

#[test]
fn what_cannot_be_read_is_left_open() {
    type Change = fn(&mut Scene);
    let open: [(Change, Reason); 6] = [
        (|s| s.evidence.denied = true, Reason::Denied),
        // Whether it still waits is what could not be read.
        (|s| (s.evidence.denied, s.evidence.still_waiting) = (true, false), Reason::Denied),
        (|s| s.evidence.mapping = None, Reason::Unreadable),
        (|s| s.evidence.now = None, Reason::Unreadable),
        (|s| s.evidence.memory_shared_with = vec![7], Reason::SharedMemory),
        // It is for several words.
        (|s| s.evidence.wait.op = 0x1_0000, Reason::UnknownLock),
    ];
    for (change, reason) in open {
        let mut scene = Scene::mutex();
        change(&mut scene);
        assert_eq!(scene.judge(), Verdict::Open(reason));
    }
}

#[test]
fn the_owner_in_a_pid_namespace_is_compared_with_the_childs_own_numbers() {
    // The child is process 7 of its namespace; thread 9 of it owns the mutex.
    let mut scene = Scene::new(MUTEX_OP, 2, mutex(1, 9), mutex(2, 9));
    scene.evidence.ns_pid = Some(7);
    scene.evidence.threads[0].ns_tid = Some(9);
    scene.expect_lost_waker(Confidence::Certain, "whoever has it");
    assert_eq!(scene.with_live_helper().judge(), Verdict::Innocent(Reason::OwnedByChild));
    // Owner 5 is not of the child, but may be the forking thread by its inner number.
    let mut scene = Scene::new(MUTEX_OP, 2, mutex(1, 5), mutex(2, 5)).with_live_helper();
    scene.evidence.ns_pid = Some(7);
    scene.evidence.threads[0].ns_tid = Some(7);
    assert_eq!(scene.confidence(), Confidence::Suspect);
}

#[test]
fn without_the_inherited_page_nothing_is_certain() {
    let mut scene = Scene::mutex();
    scene.evidence.at_fork = AtFork::Unknown(Missing::LimitReached);
    assert_eq!(scene.confidence(), Confidence::Likely, "a foreign owner and nobody left");
    scene = scene.with_live_helper();
    assert_eq!(scene.confidence(), Confidence::Suspect, "somebody may unlock it for its owner");
    let mut scene = Scene::semaphore();
    scene.evidence.at_fork = AtFork::Unknown(Missing::NoFault);
    let finding = scene.finding();
    assert_eq!(
        (finding.hazard, finding.confidence),
        (HazardId::InheritedLock, Confidence::Likely),
        "a thread that was lost had it"
    );
    let mut alone = Scene::semaphore();
    alone.parent_threads = vec![PARENT];
    alone.evidence.at_fork = AtFork::Unknown(Missing::NoFault);
    alone.expect_lost_waker(Confidence::Likely, "it may have taken it itself");
    assert_eq!(scene.with_live_helper().judge(), Verdict::Open(Reason::Undecided));
}

#[test]
fn a_fork_during_the_attach_is_judged_but_its_holder_is_not_guessed() {
    let mut scene = Scene::semaphore();
    scene.parent_threads = vec![PARENT];
    // Another process was forked before the parent was looked at: the parent is known from then on.
    let early = ProcessFork { child_pid: 150, clone_flags: 0x0120_0000 };
    let mut model = Model::default();
    model.apply(&event(SECOND, PARENT, PARENT, Body::ProcessFork(early)));
    let fork = ProcessFork { child_pid: CHILD, clone_flags: 0x0120_0000 };
    model.apply(&event(5 * SECOND, PARENT, PARENT, Body::ProcessFork(fork)));
    let look = Body::Evidence(Box::new(scene.evidence.clone()));
    let look = event(11 * SECOND, CHILD, CHILD, look);
    let Verdict::Finding(finding) = judge(&look, &model) else { panic!("no finding") };
    assert_eq!(finding.confidence, Confidence::Certain);
    assert_eq!(finding.holder().cloned(), None);
    assert!(finding.has(Rule::ThreadsUnknown));
}

#[test]
fn a_loss_of_events_lowers_the_confidence() {
    let mut scene = Scene::semaphore();
    let lost = Body::EventsLost(EventsLost { count: 1, ..Default::default() });
    scene.after_fork.push(Event { boot_ns: 6 * SECOND, task: None, body: lost });
    let finding = scene.finding();
    assert_eq!(finding.confidence, Confidence::Likely);
    assert!(finding.has(Rule::EventsLost));
}

#[test]
fn a_wait_is_reported_once_and_again_only_when_stronger() {
    let model = Scene::semaphore().model();
    let look =
        |scene: Scene, at: u64| event(at, CHILD, CHILD, Body::Evidence(Box::new(scene.evidence)));
    let mut judge = Judge::default();
    let weak = look(Scene::semaphore().with_live_helper(), 11 * SECOND);
    assert!(matches!(judge.apply(&weak, &model), Some(Outcome::Found(_))));
    assert_eq!(judge.apply(&weak, &model), None);
    let strong = look(Scene::semaphore(), 13 * SECOND);
    assert!(matches!(judge.apply(&strong, &model), Some(Outcome::Found(_))));
    assert_eq!(judge.findings().len(), 1);
    let wait = Scene::semaphore().evidence.wait;
    for (result, ended) in [(-4, false), (0, true)] {
        let back =
            crate::event::FutexWait { wait: wait.clone(), result: Some(result), over: false };
        let outcome = judge.apply(&event(20 * SECOND, CHILD, CHILD, Body::FutexWait(back)), &model);
        assert_eq!(matches!(outcome, Some(Outcome::Ended { .. })), ended, "result {result}");
    }
    assert_eq!(judge.findings()[0].ended_after_ns, Some(10 * SECOND));
}

#[test]
fn a_wait_on_a_machine_whose_locks_are_not_known_is_no_finding() {
    let scene = Scene::mutex();
    let on = |arch: &str, page_size| {
        let start = TraceStart { arch: arch.into(), page_size, ..TraceStart::default() };
        let mut model = scene.model();
        let start = Body::TraceStart(Box::new(start));
        model.apply(&Event { boot_ns: 10 * SECOND, task: None, body: start });
        let look = Body::Evidence(Box::new(scene.evidence.clone()));
        Judge::default().apply(&event(11 * SECOND, CHILD, CHILD, look), &model)
    };
    assert!(matches!(on("x86_64", 4096), Some(Outcome::Found(_))));
    assert!(matches!(on("aarch64", 4096), Some(Outcome::Found(_))));
    for (arch, page_size) in [("aarch64", 16384), ("x86_64", 16384), ("riscv64", 4096)] {
        let silent = Some(Outcome::Silent(Reason::UnknownMachine));
        assert_eq!(on(arch, page_size), silent, "{arch} {page_size}");
    }
}

const GRANDPARENT: u32 = 50;

/// The parent was itself forked, by thread `by` of a grandparent with the threads 50 and 51.
fn twice_forked(by: u32, owner: u32) -> Scene {
    let mut scene = Scene::new(MUTEX_OP, 2, mutex(1, owner), mutex(2, owner));
    let threads = [GRANDPARENT, 51].map(|tid| ThreadName { tid, comm: format!("t{tid}") });
    let seen = ProcessSnapshot { threads: threads.to_vec(), ..Default::default() };
    let fork = ProcessFork { child_pid: PARENT, clone_flags: 0x0120_0000 };
    // After the snapshot of the parent that every scene begins with: it is another process now.
    scene.before = vec![
        event(2 * SECOND, GRANDPARENT, GRANDPARENT, Body::ProcessSnapshot(seen)),
        event(3 * SECOND, GRANDPARENT, by, Body::ProcessFork(fork)),
    ];
    scene
}

#[test]
fn a_lock_inherited_twice_was_held_by_a_thread_of_the_grandparent() {
    let finding = twice_forked(GRANDPARENT, 51).with_live_helper().finding();
    assert_eq!(finding.confidence, Confidence::Certain);
    let holder = finding.holder().cloned().unwrap();
    assert_eq!((holder.pid, holder.tid), (GRANDPARENT, 51));
    assert_eq!(holder.comm.as_deref(), Some("t51"));
}

#[test]
fn the_heir_of_an_heir_may_release_what_the_grandparent_held() {
    let scene = twice_forked(51, 51).with_live_helper();
    assert_eq!(scene.confidence(), Confidence::Suspect);
    assert_eq!(scene.finding().holder().cloned().unwrap().pid, GRANDPARENT);
    let mut execed = twice_forked(51, 51).with_live_helper();
    let exec = ProcessExec { old_tid: PARENT, filename: "/bin/x".into() };
    execed.before.push(event(4 * SECOND, PARENT, PARENT, Body::ProcessExec(exec)));
    let holder = execed.finding().holder().cloned().unwrap();
    assert_eq!((holder.pid, holder.comm), (PARENT, None), "the grandparent's memory is gone");
}

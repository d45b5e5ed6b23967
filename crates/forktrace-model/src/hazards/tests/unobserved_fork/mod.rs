//! The rules for a fork that was not seen, each on a hand-made look.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod python;

use super::*;
use crate::event::{
    AtFork, Body, Doing, EventsLost, Learnt, Libc, Mapping, ProcessExec, ProcessFork,
    ProcessSnapshot, Relative, RelativeThread, ThreadSample, UnobservedFork, Wait, Window,
};

const PARENT: u32 = 100;
const POLLER: u32 = 101;
const CHILD: u32 = 200;
const HELPER: u32 = 201;
const UADDR: u64 = 0x5000_0000_1010;
const MUTEX_OP: u32 = 128;
const SEM_OP: u32 = 393;
const SECOND: u64 = 1_000_000_000;
/// The unseen fork.
const FORK: u64 = 5 * SECOND;

fn event(boot_ns: u64, pid: u32, body: Body) -> Event {
    let task = Task { pid, tid: pid, comm: format!("t{pid}") };
    Event { boot_ns, task: Some(task), body }
}

/// Memory from 16 bytes before the word: a block's header of `malloc`, then the lock.
fn window(block: u32, words: &[u32]) -> Window {
    let header = [0, 0, block, 0];
    let bytes = header.iter().chain(words).flat_map(|word| word.to_le_bytes()).collect();
    Window { address: UADDR - 16, bytes }
}

fn mutex(lock: u32, owner: u32) -> Window {
    window(0x31, &[lock, 0, owner, u32::from(owner != 0), 0, 0, 0, 0, 0, 0])
}

fn sem(value: u32, waiters: u32) -> Window {
    window(0x31, &[value, waiters, 0, 0, 0, 0, 0, 0])
}

fn thread(tid: u32, start_ns: u64) -> RelativeThread {
    RelativeThread { tid, ns_tid: None, comm: format!("t{tid}"), start_ns }
}

fn sample(tid: u32, doing: Doing) -> ThreadSample {
    ThreadSample { tid, comm: format!("t{tid}"), doing, ran: Some(false), ..Default::default() }
}

fn blocked(op: u32) -> Doing {
    Doing::Futex { uaddr: UADDR, op, val: 2, timed: false }
}

/// A look; each test changes what it is about.
struct Scene {
    evidence: Evidence,
    /// What was seen before the process was looked at.
    before: Vec<Event>,
    events: Vec<Event>,
}

impl Scene {
    fn new(op: u32, val: u64, now: Window) -> Self {
        let kin = Relative {
            forked: false,
            pid: PARENT,
            comm: "t100".into(),
            parent: true,
            same_pid_ns: true,
            threads: vec![thread(PARENT, SECOND), thread(POLLER, 2 * SECOND)],
            forker: Some(PARENT),
            now: Some(now.clone()),
        };
        let late =
            UnobservedFork { start_ns: FORK, relative: Some(kin), ..UnobservedFork::default() };
        let wait = Wait {
            enter_ns: 10 * SECOND,
            uaddr: UADDR,
            op,
            val,
            since_before: true,
            ..Wait::default()
        };
        let mapping = Mapping {
            start: UADDR & !0xffff,
            end: (UADDR & !0xffff) + 0x1_0000,
            perms: "rw-p".into(),
            path: "[heap]".into(),
            ..Mapping::default()
        };
        let evidence = Evidence {
            wait,
            still_waiting: true,
            mapping: Some(mapping),
            libc: Some(Libc::Glibc),
            now: Some(now),
            threads: vec![sample(CHILD, blocked(op))],
            handlers: Some(0),
            timers: Some(0),
            late: Some(Box::new(late)),
            ..Evidence::default()
        };
        Scene { evidence, before: Vec::new(), events: Vec::new() }
    }

    /// A mutex owned by the parent's other thread.
    fn mutex() -> Self {
        Scene::new(MUTEX_OP, 2, mutex(2, POLLER))
    }

    /// A semaphore at zero.
    fn semaphore() -> Self {
        Scene::new(SEM_OP, 0, sem(0, 1))
    }

    /// The memory as inherited was learnt.
    fn learnt(mut self, window: Window) -> Self {
        self.late().learnt = Some(Learnt::SharedWith(150));
        self.evidence.at_fork = AtFork::Known(window);
        self
    }

    /// The child has a second thread, which runs.
    fn with_live_helper(mut self) -> Self {
        let mut helper = sample(HELPER, Doing::Running);
        helper.ran = Some(true);
        self.evidence.threads.push(helper);
        self
    }

    fn late(&mut self) -> &mut UnobservedFork {
        self.evidence.late.as_mut().unwrap()
    }

    fn kin(&mut self) -> &mut Relative {
        self.late().relative.as_mut().unwrap()
    }

    fn judge(&self) -> Verdict {
        let mut model = Model::default();
        for event in &self.before {
            model.apply(event);
        }
        let snapshot = ProcessSnapshot { ppid: PARENT, start_ns: FORK, ..Default::default() };
        model.apply(&event(9 * SECOND, CHILD, Body::ProcessSnapshot(snapshot)));
        for event in &self.events {
            model.apply(event);
        }
        let look = event(11 * SECOND, CHILD, Body::Evidence(Box::new(self.evidence.clone())));
        judge(&look, &model)
    }

    fn finding(&self) -> Finding {
        match self.judge() {
            Verdict::Finding(finding) => *finding,
            other => panic!("expected a finding, got {other:?}"),
        }
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
        self.finding().confidence
    }
}

#[test]
fn an_owner_who_lives_in_the_parent_and_is_older_makes_it_likely() {
    let finding = Scene::mutex().finding();
    assert_eq!(finding.confidence, Confidence::Likely);
    let holder = finding.holder().cloned().clone().unwrap();
    assert_eq!((holder.pid, holder.tid, holder.comm.as_deref()), (PARENT, POLLER, Some("t101")));
    assert_eq!(finding.fork_site(), None);
    let fork = finding.unobserved_fork().unwrap();
    assert_eq!((fork.boot_ns, fork.by_pid, fork.by_tid), (FORK, Some(PARENT), Some(PARENT)));
    assert!(finding.wait().unwrap().since_before && finding.is_deadlock());
    assert_eq!(finding.wait().unwrap().waited_ns, SECOND);
    // Also beside living threads: that thread is not here.
    assert_eq!(Scene::mutex().with_live_helper().confidence(), Confidence::Likely);
}

#[test]
fn a_wait_from_before_the_trace_is_no_older_than_its_thread() {
    let mut scene = Scene::mutex();
    let age = scene.finding().wait().unwrap().waited_ns + 10 * SECOND - FORK;
    assert_eq!(scene.finding().wait().unwrap().at_most_ns, Some(age));
    scene.late().thread_start_ns = Some(FORK + SECOND);
    assert_eq!(scene.finding().wait().unwrap().at_most_ns, Some(age - SECOND));
    scene.evidence.wait.since_before = false;
    assert_eq!(scene.finding().wait().unwrap().at_most_ns, None, "its beginning was seen");
}

#[test]
fn a_fork_whose_event_was_lost_is_told_from_one_before_the_trace() {
    let mut scene = Scene::mutex();
    let of_fork = |scene: &Scene| scene.finding().unobserved_fork().unwrap().lost;
    assert!(!of_fork(&scene));
    scene.before = vec![event(SECOND, PARENT, Body::ProcessSnapshot(ProcessSnapshot::default()))];
    assert!(!of_fork(&scene), "forked before its parent was traced");
    scene.before.push(event(
        FORK,
        PARENT,
        Body::EventsLost(EventsLost { count: 1, ..EventsLost::default() }),
    ));
    assert!(of_fork(&scene));
    assert_eq!(scene.confidence(), Confidence::Likely);
}

#[test]
fn a_younger_thread_of_the_parent_or_one_of_another_namespace_is_no_sign() {
    let mut scene = Scene::mutex();
    scene.kin().threads[1].start_ns = 6 * SECOND;
    assert!(!scene.finding().has(Rule::OwnerOfParent), "its number was used again");
    scene = Scene::mutex();
    scene.kin().same_pid_ns = false;
    assert!(!scene.finding().has(Rule::OwnerOfParent));
    scene = Scene::mutex();
    scene.kin().parent = false;
    assert!(!scene.finding().has(Rule::OwnerOfParent));
    assert_eq!(scene.confidence(), Confidence::Likely, "nobody is left who could unlock it");
    assert_eq!(scene.finding().holder().cloned(), None);
    scene = scene.with_live_helper();
    assert_eq!(scene.judge(), Verdict::Open(Reason::TooLate));
}

#[test]
fn numbers_tell_the_age_while_none_was_used_twice() {
    let mut scene = Scene::mutex();
    (scene.late().relative, scene.late().tids_in_order) = (None, true);
    let finding = scene.finding();
    assert_eq!((finding.confidence, finding.holder().cloned()), (Confidence::Likely, None));
    assert_eq!(finding.unobserved_fork().unwrap().by_pid, None);
    scene.late().not_execed = true;
    scene.evidence.now = Some(mutex(2, HELPER));
    scene.expect_lost_waker(Confidence::Likely, "its owner is younger than the child");
    let living = scene.with_live_helper().judge();
    assert_eq!(living, Verdict::Innocent(Reason::OwnedByChild));
    // Inside of a pid namespace the numbers are others.
    let mut scene = Scene::mutex();
    (scene.late().relative, scene.late().tids_in_order) = (None, true);
    scene.evidence.ns_pid = Some(7);
    scene.evidence.threads[0].ns_tid = Some(7);
    assert_eq!(scene.judge(), Verdict::Innocent(Reason::NotForked));
}

#[test]
fn the_heir_of_the_forking_thread_may_release_what_it_holds() {
    let mut scene = Scene::new(MUTEX_OP, 2, mutex(2, PARENT));
    assert_eq!(scene.confidence(), Confidence::Likely, "nobody else is there");
    scene = scene.with_live_helper();
    assert_eq!(scene.confidence(), Confidence::Likely, "the heir itself waits");
    // Another thread waits, and the heir runs.
    let heir = |kin: Option<u32>| {
        let mut scene = Scene::new(MUTEX_OP, 2, mutex(2, PARENT));
        scene.kin().forker = kin;
        scene.evidence.threads =
            vec![sample(CHILD, Doing::Running), sample(HELPER, blocked(MUTEX_OP))];
        let task = Task { pid: CHILD, tid: HELPER, comm: String::new() };
        let mut model = Model::default();
        let snapshot = ProcessSnapshot { ppid: PARENT, start_ns: FORK, ..Default::default() };
        model.apply(&event(9 * SECOND, CHILD, Body::ProcessSnapshot(snapshot)));
        let body = Body::Evidence(Box::new(scene.evidence.clone()));
        let look = Event { boot_ns: 11 * SECOND, task: Some(task), body };
        match judge(&look, &model) {
            Verdict::Finding(finding) => finding.confidence,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(heir(Some(PARENT)), Confidence::Suspect);
    assert_eq!(heir(None), Confidence::Suspect, "who forked is not known");
    assert_eq!(heir(Some(POLLER)), Confidence::Likely, "another one forked");
}

#[test]
fn the_memory_as_inherited_makes_an_ownerless_lock_likely() {
    let scene = Scene::semaphore().learnt(sem(0, 0));
    let finding = scene.finding();
    assert_eq!((finding.confidence, finding.holder().cloned()), (Confidence::Likely, None));
    assert_eq!(finding.lock().unwrap().value_at_fork, Some(0));
    assert_eq!(scene.with_live_helper().confidence(), Confidence::Suspect);
    let mut scene = Scene::semaphore().learnt(sem(0, 0));
    scene.evidence.handlers = Some(1 << 14);
    assert_eq!(scene.confidence(), Confidence::Suspect, "a handler could post it");
    let other_block = window(0x41, &[0, 0, 0, 0, 0, 0, 0, 0]);
    for (scene, reason) in [
        (Scene::semaphore().learnt(sem(1, 0)), Reason::FreeAtFork),
        (Scene::semaphore().learnt(other_block), Reason::FreeAtFork),
        (Scene::mutex().learnt(mutex(1, PARENT)), Reason::OwnerChanged),
    ] {
        scene.expect_lost_waker(Confidence::Certain, "it was not inherited held");
        assert_eq!(scene.with_live_helper().judge(), Verdict::Innocent(reason));
    }
}

#[test]
fn a_deadlock_is_about_an_inherited_lock_if_that_is_older_than_the_fork() {
    let finding = Scene::semaphore().finding();
    assert_eq!((finding.hazard, finding.confidence), (HazardId::InheritedLock, Confidence::Likely));
    type Change = fn(&mut Scene);
    let others: [(Change, Confidence, &str); 4] = [
        (|s| s.kin().now = None, Confidence::Certain, "the parent has nothing there"),
        (
            |s| s.kin().now = Some(window(0x51, &[0; 8])),
            Confidence::Certain,
            "the parent has another block there",
        ),
        (|s| s.evidence.handlers = Some(1 << 14), Confidence::Suspect, "a handler could post it"),
        (|s| s.evidence.timers = Some(1), Confidence::Suspect, "a timer could post it"),
    ];
    for (change, confidence, why) in others {
        let mut scene = Scene::semaphore();
        change(&mut scene);
        scene.expect_lost_waker(confidence, why);
    }
    let mut scene = Scene::semaphore();
    scene.evidence.threads.push(sample(HELPER, Doing::Syscall(7)));
    assert_eq!(scene.judge(), Verdict::Open(Reason::TooLate), "somebody is left");
}

#[test]
fn what_was_not_forked_or_is_shared_or_ends_by_itself_is_innocent() {
    type Change = fn(&mut Scene);
    let silent: [(Change, Verdict); 8] = [
        (|s| s.late().relative = None, Verdict::Innocent(Reason::NotForked)),
        (|s| s.evidence.wait.timed = true, Verdict::Innocent(Reason::Timed)),
        (|s| s.evidence.still_waiting = false, Verdict::Innocent(Reason::WaitEnded)),
        (
            |s| s.evidence.mapping.as_mut().unwrap().shared = true,
            Verdict::Innocent(Reason::SharedMapping),
        ),
        (|s| s.evidence.memory_shared_with = vec![PARENT], Verdict::Open(Reason::SharedMemory)),
        (|s| s.evidence.now = None, Verdict::Open(Reason::Unreadable)),
        (
            |s| {
                let exec = ProcessExec { old_tid: CHILD, filename: "/bin/true".into() };
                s.events.push(event(10 * SECOND, CHILD, Body::ProcessExec(exec)));
            },
            Verdict::Innocent(Reason::NotForked),
        ),
        (
            |s| {
                let fork = ProcessFork { child_pid: CHILD, clone_flags: 0x0120_0000 };
                s.events.push(event(10 * SECOND, PARENT, Body::ProcessFork(fork)));
            },
            Verdict::Innocent(Reason::NotForked),
        ),
    ];
    for (change, expected) in silent {
        let mut scene = Scene::mutex();
        change(&mut scene);
        assert_eq!(scene.judge(), expected);
    }
}

#[test]
fn a_lock_that_names_an_owner_who_is_not_here_is_likely_once_the_parent_is_gone() {
    let mut scene = Scene::mutex();
    (scene.late().relative, scene.late().not_execed) = (None, true);
    let finding = scene.finding();
    assert_eq!((finding.confidence, finding.holder().cloned().clone()), (Confidence::Likely, None));
    assert_eq!(finding.unobserved_fork().unwrap().by_pid, None);
    let beside = scene.with_live_helper().finding();
    assert_eq!(beside.confidence, Confidence::Suspect);
    assert!(beside.is_shown(false, &[CHILD].into_iter().collect()), "to who asked for it");
    assert!(!beside.is_shown(false, &Default::default()));
    let mut scene = Scene::semaphore();
    (scene.late().relative, scene.late().not_execed) = (None, true);
    scene.expect_lost_waker(
        Confidence::Likely,
        "it names none, and which threads were lost is not known",
    );
}

#[test]
fn a_lock_that_the_waiter_has_itself_is_a_self_deadlock() {
    let own = || Scene::new(MUTEX_OP, 2, mutex(2, CHILD));
    let finding = own().finding();
    assert_eq!((finding.hazard, finding.confidence), (HazardId::SelfDeadlock, Confidence::Likely));
    assert!(finding.unobserved_fork().is_some());
    assert_eq!(own().with_live_helper().confidence(), Confidence::Likely);
    let mut scene = own();
    scene.late().relative = None;
    assert_eq!(scene.judge(), Verdict::Innocent(Reason::NotForked));
    // A number that the parent's holder had already is not the waiter's.
    let before = own().learnt(mutex(1, CHILD));
    before.expect_lost_waker(Confidence::Certain, "whoever has it");
    assert_eq!(before.with_live_helper().judge(), Verdict::Innocent(Reason::OwnedByChild));
}

#[test]
fn that_nobody_is_left_is_as_certain_after_the_fact() {
    let word = || window(0x31, &[5, 0, 0, 0, 0, 0, 0, 0]);
    let scene = || Scene::new(MUTEX_OP, 5, word());
    scene().expect_lost_waker(Confidence::Certain, "the memory as inherited is not known");
    scene().learnt(word()).expect_lost_waker(Confidence::Certain, "it is");
    let other = window(0x31, &[4, 0, 0, 0, 0, 0, 0, 0]);
    scene().learnt(other).expect_lost_waker(Confidence::Certain, "it was another one");
    assert!(scene().finding().has(Rule::ThreadsOfParent));
    assert!(scene().finding().has(Rule::ForkNotSeen));
    let mut alone = scene();
    alone.kin().threads.truncate(1);
    alone.expect_lost_waker(Confidence::Likely, "the parent has no other thread");
    alone.kin().forker = None;
    alone.expect_lost_waker(Confidence::Likely, "its only thread is the one that forked");
    let mut gone = scene();
    (gone.late().relative, gone.late().not_execed) = (None, true);
    gone.expect_lost_waker(Confidence::Likely, "the parent is gone");
    let pool = scene().learnt(word()).with_live_helper();
    assert_eq!(pool.judge(), Verdict::Open(Reason::TooLate));
}

#[test]
fn what_was_held_is_not_certain_after_the_fact() {
    for scene in [
        Scene::mutex(),
        Scene::mutex().learnt(mutex(1, POLLER)),
        Scene::semaphore().learnt(sem(0, 0)),
    ] {
        assert_eq!(scene.confidence(), Confidence::Likely);
    }
}

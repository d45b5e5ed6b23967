//! The rules about Python's locks.

use super::*;
use crate::arch::Machine;
use crate::event::{KeptMethod, LockUse, Python, PythonFrame, PythonLock, PythonThread};

fn frame(file: &str, function: &str) -> PythonFrame {
    PythonFrame { file: format!("/usr/lib/{file}"), line: 7, function: function.into() }
}

fn python_thread(tid: u32, lock_use: LockUse) -> PythonThread {
    let innermost = Some(frame("app.py", "work"));
    PythonThread { tid: Some(tid), ident: u64::from(tid) << 12, lock_use, innermost }
}

/// A worker that waits in `with lock:` beside a living thread, and a method that a lost thread left.
fn worker() -> Scene {
    let mut scene = Scene::semaphore().with_live_helper();
    scene.evidence.python = Python::Frames(vec![frame("app.py", "work")]);
    scene.evidence.python_lock = Some(PythonLock {
        type_name: "_thread.lock".into(),
        exits: vec![exit(Some(true)), exit(Some(false))],
        ..PythonLock::default()
    });
    scene.evidence.python_threads =
        vec![python_thread(CHILD, LockUse::With), python_thread(HELPER, LockUse::Nothing)];
    scene.evidence.waiters =
        vec![crate::event::Waiter { tid: CHILD, enter_ns: 10 * SECOND, times: None }];
    scene
}

fn exit(on_frame: Option<bool>) -> KeptMethod {
    KeptMethod { on_frame, ..KeptMethod::default() }
}

fn lock(scene: &mut Scene) -> &mut PythonLock {
    scene.evidence.python_lock.as_mut().unwrap()
}

#[test]
fn what_a_lost_thread_left_behind_makes_it_likely_where_nobody_is_left() {
    assert_eq!(worker().confidence(), Confidence::Suspect, "somebody may have taken it since");
    let mut alone = worker();
    alone.evidence.threads.truncate(1);
    let finding = alone.finding();
    assert_eq!((finding.hazard, finding.confidence), (HazardId::InheritedLock, Confidence::Likely));
}

#[test]
fn where_a_thread_that_is_not_here_was_in_a_block_is_told() {
    let hold = PythonFrame { file: "app.py".into(), line: 35, function: "hold".into() };
    let mut scene = worker();
    lock(&mut scene).exits[1].left_at = Some(hold.clone());
    assert_eq!(scene.finding().wait().unwrap().with_at_fork.clone(), Some(hold));
    lock(&mut scene).exits[1].on_frame = None;
    assert_eq!(scene.finding().wait().unwrap().with_at_fork.clone(), None);
}

#[test]
fn an_rlock_whose_owner_is_not_here_is_likely_beside_living_threads() {
    let recursive = |owner: u64, count: u64| {
        let mut scene = worker();
        let fields = [1, 2, UADDR, owner, count];
        let object = lock(&mut scene);
        object.type_name = "_thread.RLock".into();
        object.address = 0x7000;
        let bytes = fields.iter().flat_map(|field: &u64| field.to_le_bytes()).collect();
        object.now = Window { address: 0x7000, bytes };
        scene.evidence.python_threads[1].ident = 0x9000;
        scene.confidence()
    };
    assert_eq!(recursive(0x8000, 1), Confidence::Likely);
    assert_eq!(recursive(0x9000, 1), Confidence::Suspect, "a thread here has it");
    assert_eq!(recursive(0x8000, 0), Confidence::Suspect, "nobody has it");
}

#[test]
fn without_it_the_lock_is_a_suspect_that_is_worth_showing() {
    type Change = fn(&mut Scene);
    let suspects: [(Change, &str); 6] = [
        (|s| s.evidence.python_threads[1].lock_use = LockUse::Manager, "in an object's block"),
        (|s| lock(s).exits.truncate(1), "the waiter's own method alone"),
        (|s| lock(s).exits = vec![exit(None)], "whose it is is not known"),
        (|s| s.evidence.python_threads[1].lock_use = LockUse::Unknown, "frames not read"),
        (|s| s.evidence.python_threads.clear(), "another version of Python"),
        (|s| s.evidence.handlers = Some(1 << 13), "SIGALRM is handled"),
    ];
    for (change, why) in suspects {
        let mut scene = worker();
        change(&mut scene);
        let finding = scene.finding();
        assert_eq!(finding.confidence, Confidence::Suspect, "{why}");
        assert!(finding.is_for_python_lock() && !finding.is_deadlock(), "{why}");
    }
}

#[test]
fn a_lock_that_is_taken_or_released_by_hand_is_not() {
    type Change = fn(&mut Scene);
    let by_hand: [Change; 2] = [
        |s| s.evidence.python_threads[0].lock_use = LockUse::Calls,
        |s| s.evidence.python_threads[1].lock_use = LockUse::Calls,
    ];
    for change in by_hand {
        let mut scene = worker();
        change(&mut scene);
        let finding = scene.finding();
        assert_eq!(finding.confidence, Confidence::Suspect);
        assert!(!finding.is_for_python_lock());
        // Where nobody is left, it does not matter how it was taken.
        scene.evidence.threads.truncate(1);
        assert_eq!(scene.confidence(), Confidence::Likely);
    }
}

#[test]
fn a_thread_that_is_in_the_block_will_leave_it() {
    let mut scene = worker();
    scene.evidence.python_threads[1].lock_use = LockUse::With;
    assert_eq!(scene.judge(), Verdict::Open(Reason::OwnedByChild));
    scene.evidence.waiters.push(crate::event::Waiter {
        tid: HELPER,
        enter_ns: 10 * SECOND,
        times: None,
    });
    assert_eq!(scene.confidence(), Confidence::Suspect, "it waits too");
    let mut named = worker();
    named.evidence.python_threads[1].lock_use = LockUse::Refers;
    assert_eq!(named.confidence(), Confidence::Suspect, "it only knows it by a name");
}

#[test]
fn threads_at_rest_are_no_finding_and_python_is_read_to_tell_them() {
    let bare = Scene::semaphore().with_live_helper();
    assert_eq!(bare.judge(), Verdict::Open(Reason::TooLate));
    assert!(wants_python(&bare.evidence, Machine::default()));
    let mutex = Scene::mutex().with_live_helper();
    assert!(!wants_python(&mutex.evidence, Machine::default()), "its owner tells");
    let mut seen = Scene::semaphore().with_live_helper();
    seen.evidence.late = None;
    assert!(!wants_python(&seen.evidence, Machine::default()));

    let mut queue = worker();
    lock(&mut queue).type_name = "_queue.SimpleQueue".into();
    assert_eq!(queue.judge(), Verdict::Open(Reason::OthersCanWake));
    queue.evidence.threads.truncate(1);
    queue.expect_lost_waker(Confidence::Certain, "nobody is left to fill it");
    let pool = "concurrent/futures/thread.py";
    for (file, function) in [
        ("threading.py", "Condition.wait"),
        ("threading.py", "Thread._wait_for_tstate_lock"),
        ("threading.py", "wait"),
        ("threading.py", "Thread.join"),
        (pool, "_worker"),
    ] {
        let mut scene = worker();
        scene.evidence.python = Python::Frames(vec![frame(file, function)]);
        assert_eq!(scene.judge(), Verdict::Open(Reason::OthersCanWake), "{function}");
        scene.evidence.threads.truncate(1);
        scene.expect_lost_waker(Confidence::Certain, function);
    }
    for (file, function) in [("thread.py", "_worker"), (pool, "submit"), ("app.py", "wait")] {
        let mut scene = worker();
        scene.evidence.python = Python::Frames(vec![frame(file, function)]);
        assert_eq!(scene.confidence(), Confidence::Suspect, "{file} {function}");
    }
    // Such a thread does not release by hand what others wait for.
    let mut beside = worker();
    beside.evidence.python_threads[1].lock_use = LockUse::Calls;
    beside.evidence.python_threads[1].innermost = Some(frame(pool, "_worker"));
    assert!(beside.finding().is_for_python_lock());
}

#[test]
fn a_py_mutex_is_told_by_the_type_of_its_object() {
    // The waiter's `wait_entry`: the address of a local variable, that of the lock, the semaphore.
    let long = |word: u64| [word as u32, (word >> 32) as u32];
    let lock_at = UADDR + 0x10_0000;
    let entry = [long(UADDR + 64), long(lock_at), long(1 << 32), long(0)];
    let list = [long(0), long(0), long(UADDR + 0x8000), long(UADDR + 0x9000), long(0), long(0)];
    let words: Vec<u32> = entry.iter().chain(&list).flatten().copied().collect();
    let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let mut scene = Scene::new(SEM_OP, 0, Window { address: UADDR - 16, bytes });
    let held = Window {
        address: lock_at - 16,
        bytes: [&[1, 0, 0, 0, 0, 0, 0, 0][..], &[7; 8], &[3; 1], &[0; 15]].concat(),
    };
    scene.evidence.target = Some(Place {
        address: lock_at,
        mapping: scene.evidence.mapping.clone(),
        now: Some(held.clone()),
        python_type: Some("_thread.lock".into()),
        ..Place::default()
    });
    scene.kin().now = Some(held);
    assert_eq!(scene.finding().hazard, HazardId::InheritedLock);
    assert_eq!(scene.confidence(), Confidence::Likely, "nobody is left");
    assert!(wants_python(&scene.evidence, Machine::default()));
    let word = Some(crate::event::stacks::Place::Stack { tid: CHILD });
    let native = NativeStacks { word, ..Default::default() };
    scene.evidence.native = Some(Box::new(native));
    assert_eq!(scene.finding().lock().unwrap().place, None, "that is where the waiter is parked");
    let mut busy = scene.with_live_helper();
    assert_eq!(busy.judge(), Verdict::Open(Reason::TooLate));
    busy.evidence.python = Python::Frames(vec![frame("app.py", "work")]);
    assert!(busy.finding().is_for_python_lock());
    busy.evidence.python = Python::Frames(vec![frame("threading.py", "Condition.wait")]);
    assert_eq!(busy.judge(), Verdict::Open(Reason::OthersCanWake));
}

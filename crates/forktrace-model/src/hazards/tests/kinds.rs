//! Lost wakers, self-deadlocks, and locks that the kernel passes on.

use super::*;
use crate::event::{Module, PythonFrame};

/// FUTEX_WAIT with the shared op: how `std::atomic::wait` waits.
const ATOMIC_OP: u32 = 0;
/// FUTEX_LOCK_PI with the shared op.
const LOCK_PI: u32 = 6;

/// A word that is 3 at the fork and still.
fn event_word() -> Scene {
    let word = || window(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    Scene::new(ATOMIC_OP, 3, word(), word())
}

#[test]
fn a_wait_for_a_vanished_thread_is_likely_at_best() {
    let finding = event_word().finding();
    assert_eq!((finding.hazard, finding.confidence), (HazardId::LostWaker, Confidence::Likely));
    assert_eq!(
        (finding.lock().unwrap().family.name, finding.holder().cloned()),
        ("futex word", None)
    );
    assert!(finding.has(Rule::ThreadsLost));
}

#[test]
fn a_bare_word_is_a_lock_if_no_wake_was_seen_or_the_stack_says_so() {
    let rust_mutex = || {
        let words = |word| window(&[word, 0, 0, 0]);
        let mut scene = Scene::new(SEM_OP & !256, 2, words(1), words(2));
        scene.evidence.module = Some(Module { path: "/srv/app".into(), address: 0x4000 });
        scene
    };
    let with_stack = |names: &[&str]| {
        let frame = |name: &&str| Frame { symbol: Some((*name).into()), ..Frame::default() };
        let stack = Stack { frames: names.iter().map(frame).collect(), cut: None };
        let mut scene = rust_mutex().without_wakes();
        scene.evidence.native = Some(Box::new(NativeStacks { stack, ..NativeStacks::default() }));
        scene
    };
    assert_eq!(rust_mutex().finding().lock().unwrap().family.name, "Rust std Mutex");
    assert_eq!(rust_mutex().confidence(), Confidence::Certain);
    let lock = "<std::sys::sync::mutex::futex::Mutex>::lock_contended";
    let wait = "std::sys::pal::unix::futex::futex_wait";
    let event = "<std::sys::sync::condvar::futex::Condvar>::wait_optional_timeout";
    assert_eq!(with_stack(&["syscall", wait, lock, "main"]).confidence(), Confidence::Certain);
    for names in [&["syscall", wait, event, lock][..], &["syscall"], &[]] {
        assert_eq!(with_stack(names).judge(), Verdict::Open(Reason::UnknownLock), "{names:?}");
    }
}

#[test]
fn a_child_with_other_threads_is_no_lost_wakers() {
    let mut scene = event_word();
    // Even if all of them wait: an idle pool does.
    scene.evidence.threads.push(sample(HELPER, in_futex(SEM_OP, false), false));
    assert_eq!(scene.judge(), Verdict::Open(Reason::UnknownLock));
    assert_eq!(event_word().with_live_helper().judge(), Verdict::Open(Reason::UnknownLock));
    let mut unseen = event_word();
    unseen.evidence.threads[0].tid = HELPER;
    assert_eq!(unseen.judge(), Verdict::Open(Reason::UnknownLock));
}

#[test]
fn what_is_not_known_to_be_unchanged_is_no_lost_wakers() {
    type Change = fn(&mut Scene);
    let silent: [Change; 5] = [
        |s| s.evidence.at_fork = AtFork::Unknown(Missing::NoFault),
        |s| s.evidence.at_fork = AtFork::Known(window(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        |s| s.evidence.now = Some(window(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        |s| s.evidence.wakes_since_fork = Some(1),
        |s| (s.evidence.wakes_since_fork, s.after_fork) = (None, had_another_thread()),
    ];
    for change in silent {
        let mut scene = event_word();
        change(&mut scene);
        assert_eq!(scene.judge(), Verdict::Open(Reason::UnknownLock));
    }
    let mut never_threaded = event_word();
    never_threaded.evidence.wakes_since_fork = None;
    assert_eq!(never_threaded.confidence(), Confidence::Likely, "there was nobody to wake");
    let mut timed = event_word();
    timed.evidence.wait.timed = true;
    assert_eq!(timed.judge(), Verdict::Innocent(Reason::Timed));
    let mut shared = event_word();
    shared.evidence.mapping.as_mut().unwrap().shared = true;
    assert_eq!(shared.judge(), Verdict::Innocent(Reason::SharedMapping));
}

#[test]
fn a_lost_waker_that_may_be_something_else_is_a_suspect() {
    let mut handler = event_word();
    handler.evidence.handlers = Some(1 << 14);
    assert_eq!(handler.confidence(), Confidence::Suspect);
    let mut alone = event_word();
    alone.parent_threads = vec![PARENT];
    assert_eq!(alone.confidence(), Confidence::Suspect, "no thread was lost");
    let zero = || window(&[0; 10]);
    let mut new = Scene::new(ATOMIC_OP, 0, zero(), zero());
    assert_eq!(new.confidence(), Confidence::Suspect, "the block may be younger than the fork");
    new.evidence.module = Some(Module { path: "/usr/bin/program".into(), address: 0x4010 });
    assert_eq!(new.confidence(), Confidence::Likely, "static data is not");
    let mut stack = event_word();
    stack.evidence.mapping.as_mut().unwrap().path = "[stack]".into();
    assert_eq!(stack.confidence(), Confidence::Suspect);
}

#[test]
fn a_lock_that_the_waiter_took_itself() {
    let scene = || Scene::new(MUTEX_OP, 2, mutex(0, 0), mutex(2, CHILD));
    let finding = scene().finding();
    assert_eq!((finding.hazard, finding.confidence), (HazardId::SelfDeadlock, Confidence::Certain));
    assert_eq!(finding.holder().cloned().unwrap().tid, CHILD);
    // Another thread may unlock it, though it should not.
    let finding = scene().with_live_helper().finding();
    assert_eq!((finding.hazard, finding.confidence), (HazardId::SelfDeadlock, Confidence::Likely));
    let mut unknown = scene();
    unknown.evidence.at_fork = AtFork::Unknown(Missing::NoFault);
    assert_eq!(unknown.finding().hazard, HazardId::SelfDeadlock);
}

#[test]
fn a_lock_that_only_seems_to_be_the_waiters() {
    // Another thread of the child has it.
    let scene = Scene::new(MUTEX_OP, 2, mutex(0, 0), mutex(2, HELPER)).with_live_helper();
    assert_eq!(scene.judge(), Verdict::Innocent(Reason::FreeAtFork));
    // The same number had it when the waiter was not born yet.
    let reused = Scene::new(MUTEX_OP, 2, mutex(1, CHILD), mutex(2, CHILD));
    assert_eq!(reused.judge(), Verdict::Innocent(Reason::OwnedByChild));
    // A thread of the parent may have the waiter's number in the parent's own pid namespace.
    let mut unknown = Scene::new(MUTEX_OP, 2, mutex(1, 1), mutex(2, 1));
    unknown.evidence.at_fork = AtFork::Unknown(Missing::NoFault);
    unknown.evidence.ns_pid = Some(1);
    unknown.evidence.threads[0].ns_tid = Some(1);
    assert_eq!(unknown.judge(), Verdict::Innocent(Reason::OwnedByChild));
}

#[test]
fn a_lock_that_the_kernel_passes_on_is_likely() {
    let robust = |lock: u32| window(&[lock, 1, POLLER, 1, 0xb0, 0, 8, 0, 8, 0]);
    let word = 0x8000_0000 | POLLER;
    let finding = Scene::new(LOCK_PI, 0, robust(POLLER), robust(word)).finding();
    assert_eq!((finding.hazard, finding.confidence), (HazardId::InheritedLock, Confidence::Likely));
    assert_eq!(finding.holder().cloned().unwrap().tid, POLLER);
    assert!(finding.has(Rule::OwnerMayEnd));
}

#[test]
fn a_signal_of_pythons_library_that_nobody_is_left_to_give_is_a_suspect() {
    let frame = |file: &str, function: &str| PythonFrame {
        file: format!("/usr/lib/{file}"),
        line: 1,
        function: function.to_owned(),
    };
    let signal = || {
        let mut scene = Scene::new(SEM_OP, 0, sem(1, 0), sem(0, 1));
        let frames = [("threading.py", "Condition.wait"), ("threading.py", "Event.wait")];
        let frames = frames.map(|(file, function)| frame(file, function));
        scene.evidence.python = Python::Frames(frames.to_vec());
        scene.evidence.native = Some(Box::default());
        scene
    };
    let finding = signal().finding();
    assert_eq!((finding.hazard, finding.confidence), (HazardId::LostWaker, Confidence::Suspect));
    let mut queue = signal();
    let frames = [frame("threading.py", "Condition.wait"), frame("queue.py", "Queue.get")];
    queue.evidence.python = Python::Frames(frames.to_vec());
    assert_eq!(queue.confidence(), Confidence::Likely, "nobody sleeps like that");
    let ordinary = Verdict::Innocent(Reason::OrdinaryWait);
    assert_eq!(signal().with_live_helper().judge(), ordinary);
    let mut handled = signal();
    handled.evidence.handlers = Some(1 << 14);
    assert_eq!(handled.judge(), ordinary, "a handler may give it");
    let mut alone = signal();
    alone.parent_threads = vec![PARENT];
    assert_eq!(alone.judge(), ordinary, "no thread was lost");
    let mut unread = signal();
    unread.evidence.python = Python::None("not read".into());
    assert_eq!(unread.judge(), Verdict::Innocent(Reason::FreeAtFork));
    unread.evidence.native = None;
    assert_eq!(unread.confidence(), Confidence::Suspect, "so that its frames are read");
}

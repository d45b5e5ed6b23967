//! Locks that may be events, self-deadlocks, and locks that the kernel passes on.

use super::*;
use crate::event::Module;

/// FUTEX_LOCK_PI with the shared op.
const LOCK_PI: u32 = 6;

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
        let unknown = with_stack(names);
        unknown.expect_lost_waker(Confidence::Certain, &format!("{names:?}"));
        let living = unknown.with_live_helper().judge();
        assert_eq!(living, Verdict::Open(Reason::UnknownLock), "{names:?}");
    }
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
    reused.expect_lost_waker(Confidence::Certain, "whoever has it");
    assert_eq!(reused.with_live_helper().judge(), Verdict::Innocent(Reason::OwnedByChild));
    // A thread of the parent may have the waiter's number in the parent's own pid namespace.
    let mut unknown = Scene::new(MUTEX_OP, 2, mutex(1, 1), mutex(2, 1));
    unknown.evidence.at_fork = AtFork::Unknown(Missing::NoFault);
    unknown.evidence.ns_pid = Some(1);
    unknown.evidence.threads[0].ns_tid = Some(1);
    unknown.expect_lost_waker(Confidence::Certain, "whoever has it");
    assert_eq!(unknown.with_live_helper().judge(), Verdict::Innocent(Reason::OwnedByChild));
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

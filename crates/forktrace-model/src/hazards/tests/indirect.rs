//! The lock is elsewhere than the futex word: a `PyMutex`, waited for on a semaphore of the
//! waiter's own stack.

use super::*;

/// The semaphore.
const SEMA: u64 = 0x7ffc_0000_2050;
/// The lock.
const LOCK: u64 = 0x5000_0000_2010;
/// Owners of a recursive one.
const OWNER: u64 = 0x7f00_1234_5000;

fn longs(address: u64, longs: &[u64]) -> Window {
    Window { address, bytes: longs.iter().flat_map(|long| long.to_le_bytes()).collect() }
}

/// References, type, byte, owner, level.
fn lock(byte: u64, owner: u64) -> Window {
    longs(LOCK - 16, &[2, 0x5000_0009_0000, byte, owner, 0])
}

fn parked(python_type: &str, then: Window, now: Window) -> Scene {
    // park_arg, address, the semaphore, links, is_unparking.
    let entry = [SEMA + 192, LOCK, 1 << 32, 0, 0, 0, 0xa0_0000, 0xa0_0000, 0];
    let mut scene = Scene::new(SEM_OP, 0, sem(0, 0), longs(SEMA - 16, &entry));
    scene.evidence.wait.uaddr = SEMA;
    scene.evidence.at_fork = AtFork::Unknown(Missing::NoFault);
    let heap = scene.evidence.mapping.take();
    scene.evidence.mapping = Some(Mapping {
        start: 0x7ffc_0000_0000,
        end: 0x7ffc_0001_0000,
        perms: "rw-p".into(),
        path: "[stack]".into(),
        ..Mapping::default()
    });
    scene.evidence.target = Some(Place {
        address: LOCK,
        mapping: heap,
        now: Some(now),
        at_fork: AtFork::Known(then),
        python_type: Some(python_type.into()),
        owner: None,
    });
    scene
}

fn python_lock() -> Scene {
    parked("_thread.lock", lock(1, 0), lock(3, 0))
}

#[test]
fn the_finding_names_the_lock_and_not_what_its_waiter_is_parked_on() {
    let finding = python_lock().finding();
    assert_eq!(finding.confidence, Confidence::Certain);
    assert_eq!((finding.lock().unwrap().address, finding.lock().unwrap().futex), (LOCK, SEMA));
    assert_eq!(
        (finding.lock().unwrap().value_at_fork, finding.lock().unwrap().value),
        (Some(1), 3)
    );
    assert_eq!(finding.lock().unwrap().mapping, LockPlace::Heap, "where the lock is");
    assert_eq!(finding.lock().unwrap().family.name, "Python threading.Lock (PyMutex)");
}

#[test]
fn wakes_of_the_word_say_nothing_of_the_lock() {
    let mut scene = python_lock();
    scene.evidence.wakes_since_fork = Some(3);
    assert_eq!(scene.confidence(), Confidence::Certain);
}

#[test]
fn the_gates_are_the_locks_own() {
    let mut scene = python_lock().with_live_helper();
    let place = scene.evidence.target.as_mut().unwrap();
    place.mapping.as_mut().unwrap().shared = true;
    assert_eq!(scene.judge(), Verdict::Innocent(Reason::SharedMapping));
    let free = || parked("_thread.lock", lock(0, 0), lock(3, 0));
    assert_eq!(free().with_live_helper().judge(), Verdict::Innocent(Reason::FreeAtFork));
    free().expect_lost_waker(Confidence::Certain, "nobody is left");
    let retaken = parked("_thread.RLock", lock(1, OWNER), lock(3, OWNER + 64));
    assert_eq!(retaken.with_live_helper().judge(), Verdict::Innocent(Reason::OwnerChanged));
    let kept = parked("_thread.RLock", lock(1, OWNER), lock(3, OWNER));
    assert_eq!(kept.confidence(), Confidence::Certain);
}

#[test]
fn without_the_locks_inherited_page_there_is_no_proof() {
    let mut scene = python_lock();
    scene.evidence.target.as_mut().unwrap().at_fork = AtFork::Unknown(Missing::LimitReached);
    let finding = scene.finding();
    assert_eq!((finding.hazard, finding.confidence), (HazardId::InheritedLock, Confidence::Likely));
    let missing = Missing::LimitReached;
    assert!(finding.proofs.contains(&Fact::ForkStateUnknown { missing }));
    scene.evidence.target = None;
    scene.expect_lost_waker(Confidence::Certain, "the word of the waiter's own alone");
}

/// A recursive lock beside a living thread of the child, with what its owner's descriptor says.
fn owned(tid_at_fork: Option<u32>, tid: Option<u32>) -> Scene {
    let held = parked("_thread.RLock", lock(1, OWNER), lock(3, OWNER));
    let mut scene = held.with_live_helper();
    let owner = crate::event::OwnerThread { address: OWNER, tid_at_fork, tid };
    scene.evidence.target.as_mut().unwrap().owner = Some(owner);
    scene
}

#[test]
fn the_owner_of_a_recursive_lock_is_a_thread_that_is_not_here() {
    let finding = owned(Some(POLLER), Some(0)).finding();
    assert_eq!(finding.confidence, Confidence::Certain);
    let holder = finding.holder().cloned().unwrap();
    assert_eq!((holder.tid, holder.comm.as_deref()), (POLLER, Some("t101")));
    let heir = [
        (Some(PARENT), Some(0), "the forking thread's heir may release it"),
        (Some(POLLER), Some(HELPER), "a thread of the child has its descriptor"),
        (Some(POLLER), None, "who has its descriptor is not known"),
        (None, Some(0), "who it was is not known"),
    ];
    for (then, now, why) in heir {
        assert_eq!(owned(then, now).confidence(), Confidence::Suspect, "{why}");
    }
    let mut other = owned(Some(POLLER), Some(0));
    other.evidence.target.as_mut().unwrap().owner.as_mut().unwrap().address += 64;
    assert_eq!(other.confidence(), Confidence::Suspect, "it is not the owner now");
}

#[test]
fn a_python_lock_may_be_released_by_a_handler_and_a_recursive_one_may_not() {
    let mut scene = python_lock();
    scene.evidence.handlers = Some(1 << 14);
    assert_eq!(scene.confidence(), Confidence::Suspect);
    let mut scene = parked("_thread.RLock", lock(1, OWNER), lock(3, OWNER));
    scene.evidence.handlers = Some(1 << 14);
    assert_eq!(scene.confidence(), Confidence::Certain);
}

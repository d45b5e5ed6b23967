//! Memory of CPython 3.14.10 (Debian): a second thread took the lock, the process forked, and the
//! child waits for it.

use super::indirect::Parked;
use crate::locks::{Identity, Meaning, State, Thing, Word};

const SEM_WAIT: (u32, u64) = (0x189, 0);
const HELD: State = State::Held { owner: None };

fn lock() -> Parked {
    let mut parked = Parked::new(
        SEM_WAIT,
        (
            0x7ffc_93d6_6250,
            "37cb740000000000fc62d693fc7f00000863d693fc7f00001063d693fc7f0000e0b75c319c7f0000\
             0000000001000000000000000000000000000000000000000000000000000000087cb80000000000\
             087cb800000000000000000000000000",
        ),
        0x7f9c_315c_b7e0,
        (
            "e0b762319c7f00000200000000000000a04bc527000000000300000000000000000000000000000000000000\
             000000000000000000000000",
            "e0b762319c7f00000100000000000000a04bc527000000000100000000000000000000000000000000000000\
             000000000000000000000000",
        ),
    );
    parked.lock.python_type = Some("_thread.lock".into());
    parked
}

fn rlock() -> Parked {
    let mut parked = Parked::new(
        SEM_WAIT,
        (
            0x7fff_fa16_3b30,
            "37cb740000000000e03b16faff7f0000e83b16faff7f0000f03b16faff7f000050dacd2ae77f0000\
             0000000001000000000000000000000000000000000000000000000000000000087eb80000000000\
             087eb800000000000000000000000000",
        ),
        0x7fe7_2acd_da50,
        (
            "e037db2ae77f0000020000000000000090ff2127000000000300000000000000c076bb2ae77f000000000000\
             000000002e70792700000000",
            "e037db2ae77f0000010000000000000090ff2127000000000100000000000000c076bb2ae77f000000000000\
             000000002e70792700000000",
        ),
    );
    parked.lock.python_type = Some("_thread.RLock".into());
    parked
}

#[test]
fn reads_a_lock_and_its_own_address() {
    assert_eq!(lock().target(), Some(0x7f9c_315c_b7e0));
    let reading = lock().read().unwrap();
    assert_eq!(reading.family.name, "Python threading.Lock (PyMutex)");
    assert_eq!((reading.address, reading.at_fork, reading.now), (0x7f9c_315c_b7e0, HELD, HELD));
    assert_eq!((reading.value_at_fork, reading.value), (Some(1), 3));
    assert!(reading.family.anyone_may_release, "any thread, and a handler, may release a Lock");
    assert_eq!(reading.word.inherited, Some(Word::new(1_u32, Meaning::Held)));
    assert_eq!(reading.word.identity, Some(Identity::SameObject { owner: None }));
    lock().survives_truncation();
}

#[test]
fn reads_a_recursive_lock() {
    let reading = rlock().read().unwrap();
    assert_eq!(reading.family.name, "Python threading.RLock (PyMutex)");
    assert_eq!((reading.at_fork, reading.now), (HELD, HELD));
    assert!(!reading.family.anyone_may_release);
    rlock().survives_truncation();
}

#[test]
fn a_recursive_lock_of_another_thread_now_is_another_hold() {
    let retaken = rlock().with_lock(9, 0x11).read().unwrap();
    assert_eq!((retaken.at_fork, retaken.now), (HELD, State::Free));
    let nobodys = (8..16).fold(rlock(), |lock, at| lock.with_inherited(at, 0).with_lock(at, 0));
    assert_eq!(nobodys.read().unwrap().now, State::Free, "a held one has an owner");
}

#[test]
fn other_bytes_at_the_fork_are_free() {
    for (byte, expected) in [(0, State::Free), (2, State::Free), (7, State::Free), (3, HELD)] {
        let reading = lock().with_inherited(0, byte).read().unwrap();
        assert_eq!(reading.at_fork, expected, "{byte}");
    }
    let unknown = lock().without_inherited().read().unwrap();
    assert_eq!((unknown.at_fork, unknown.value_at_fork), (State::Unknown, None));
}

#[test]
fn an_object_made_after_the_fork_was_not_held_at_it() {
    let new = |parked: Parked| parked.read().unwrap().at_fork == State::Free;
    assert!(new(lock().with_inherited(-8, 0x11)), "another type");
    assert!(new(lock().with_inherited(-16, 0)), "the last of the free blocks");
    assert!(new(lock().with_inherited(-12, 0x7f)), "a free block, linked to the next");
    assert!(new(rlock().with_inherited(-16, 0)));
}

#[test]
fn a_lock_of_c_code_has_no_type() {
    let mut inner = lock();
    inner.lock.python_type = None;
    let reading = inner.read().unwrap();
    assert_eq!((reading.family.name, reading.at_fork), ("Python lock (PyMutex)", HELD));
    assert_eq!(reading.word.identity, Some(Identity::SameNeighbours));
    let moved = inner.with_inherited(-8, 0x31).read().unwrap();
    assert_eq!(moved.at_fork, State::Unknown);
    assert_eq!(moved.word.identity, Some(Identity::Unproven(Thing::Lock)));
}

#[test]
fn the_lock_itself_must_say_that_it_is_waited_for() {
    for byte in [0, 1, 2, 7, 0xff] {
        assert_eq!(lock().with_lock(0, byte).read(), None, "{byte}");
    }
}

#[test]
fn an_event_is_no_lock() {
    let event = (-16..-8).fold(lock(), |parked, at| parked.with(at, 0));
    assert_eq!(event.target(), None, "nothing is handed over");
}

#[test]
fn every_member_is_checked() {
    let changed = [
        (-11, 0x7e, "park_arg is not a local variable"),
        (-1, 0x01, "the lock's address is the kernel's"),
        (0, 1, "the semaphore has a token"),
        (4, 2, "two wait on it"),
        (8, 128, "it is shared"),
        (39, 0x80, "next is no address"),
        (47, 0x80, "prev is no address"),
        (48, 1, "it is being woken"),
    ];
    for (offset, byte, why) in changed {
        assert_eq!(lock().with(offset, byte).target(), None, "{why}");
    }
    for (op, val) in [(0x189, 1), (0x89, 0), (0x80, 0), (0x109, 0)] {
        let mut other = lock();
        (other.wait.op, other.wait.val) = (op, val);
        assert_eq!(other.target(), None, "op {op:#x}, val {val}");
    }
}

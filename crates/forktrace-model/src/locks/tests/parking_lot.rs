//! Memory of a program built by rustc 1.95 with parking_lot 0.12.5: a second thread took the lock,
//! the process forked, and the child waits for it.

use super::indirect::Parked;
use crate::locks::{Identity, Meaning, State, Thing, Word};

const PARK: (u32, u64) = (0x80, 1);
const HELD: State = State::Held { owner: None };

fn mutex() -> Parked {
    Parked::new(
        PARK,
        (
            0x7f6f_8bfd_c760,
            "0000000000000000f00af3e68755000000000000000000000000000000000000000000000000000001000000\
             007f000001000000000000000000000000000000000000000000000000000000",
        ),
        0x5587_e6f3_0af0,
        (
            "31000000000000000100000000000000010000000000000003000000000000000700000000000000",
            "31000000000000000100000000000000010000000000000001000000000000000700000000000000",
        ),
    )
}

/// A writer that waits for another.
fn written() -> Parked {
    Parked::new(
        PARK,
        (
            0x7ff4_f111_6760,
            "0000000000000000209a92df4a56000000000000000000000000000000000000080000000000000001000000\
             0000000001000000000000000000000000000000000000000000000000000000",
        ),
        0x564a_df92_9a20,
        (
            "31000000000000000100000000000000010000000000000009000000000000000700000000000000",
            "31000000000000000100000000000000010000000000000008000000000000000700000000000000",
        ),
    )
}

/// A writer that waits for a reader, at the lock's second key.
fn read_locked() -> Parked {
    Parked::new(
        PARK,
        (
            0x7f66_1e4b_f760,
            "0000000000000000219ae1214a56000000000000000000000000000000000000080000000000000001000000\
             0056000001000000000000000000000000000000000000000000000000000000",
        ),
        0x564a_21e1_9a20,
        (
            "3100000000000000010000000000000001000000000000001a000000000000000700000000000000",
            "31000000000000000100000000000000010000000000000010000000000000000700000000000000",
        ),
    )
}

#[test]
fn reads_a_mutex_and_its_own_address() {
    assert_eq!(mutex().target(), Some(0x5587_e6f3_0af0));
    let reading = mutex().read().unwrap();
    assert_eq!((reading.family.name, reading.address), ("parking_lot Mutex", 0x5587_e6f3_0af0));
    assert_eq!((reading.at_fork, reading.now), (HELD, HELD));
    assert_eq!((reading.value_at_fork, reading.value), (Some(1), 3));
    assert_eq!(reading.word.inherited, Some(Word::new(1_u32, Meaning::Locked)));
    assert_eq!(reading.word.identity, None);
    mutex().survives_truncation();
}

#[test]
fn reads_both_sides_of_a_read_write_lock() {
    let reading = written().read().unwrap();
    assert_eq!(reading.family.name, "parking_lot RwLock (held for writing)");
    assert_eq!((reading.at_fork, reading.value_at_fork, reading.value), (HELD, Some(8), 9));
    let reading = read_locked().read().unwrap();
    assert_eq!(reading.family.name, "parking_lot RwLock (held for reading)");
    assert_eq!((reading.address, reading.at_fork), (0x564a_21e1_9a20, HELD));
    assert_eq!(reading.word.inherited, Some(Word::new(0x10_u32, Meaning::HeldByReaders(1))));
    written().survives_truncation();
    read_locked().survives_truncation();
}

#[test]
fn what_was_free_at_the_fork_is_free() {
    for byte in [0, 2, 4, 0xff] {
        assert_eq!(mutex().with_inherited(0, byte).read().unwrap().at_fork, State::Free, "{byte}");
    }
    assert_eq!(mutex().with_inherited(0, 3).read().unwrap().at_fork, HELD, "and waited for");
    for byte in [0, 1, 4] {
        let free = written().with_inherited(0, byte).read().unwrap();
        assert_eq!(free.at_fork, State::Free, "{byte}");
    }
    let unknown = mutex().without_inherited().read().unwrap();
    assert_eq!((unknown.at_fork, unknown.value_at_fork), (State::Unknown, None));
}

#[test]
fn another_hold_or_another_use_of_the_memory_proves_nothing() {
    let over = |parked: Parked| parked.read().unwrap().now == State::Free;
    assert!(over(written().with_inherited(0, 0x10)), "it was held for reading");
    assert!(over(read_locked().with_inherited(0, 8)), "it was held for writing");
    let reading = mutex().with_inherited(-8, 9).read().unwrap();
    assert_eq!(reading.at_fork, State::Unknown, "other bytes before it");
    assert_eq!(reading.word.identity, Some(Identity::Unproven(Thing::ThisLock)));
    let mut of_a_file = mutex().with_inherited(-8, 9);
    of_a_file.lock.mapping.as_mut().unwrap().path = "/srv/app/server".into();
    assert_eq!(of_a_file.read().unwrap().at_fork, HELD, "a variable is what it was");
}

#[test]
fn an_initialisation_being_run_is_held() {
    let once = mutex().with_lock(0, 12).with_inherited(0, 4).read().unwrap();
    assert_eq!((once.family.name, once.at_fork), ("parking_lot Once", HELD));
    assert_eq!(once.word.inherited, Some(Word::new(4_u32, Meaning::BeingRun)));
    let poisoned = mutex().with_lock(0, 14).with_inherited(0, 6).read().unwrap();
    assert_eq!((poisoned.family.name, poisoned.at_fork), ("parking_lot Once", HELD));
    for byte in [0, 1, 2, 5] {
        let free = mutex().with_lock(0, 12).with_inherited(0, byte).read().unwrap();
        assert_eq!(free.at_fork, State::Free, "{byte}");
    }
}

#[test]
fn the_lock_itself_must_say_that_it_is_waited_for() {
    for byte in [0, 1, 2, 4, 8, 0xf0] {
        assert_eq!(mutex().with_lock(0, byte).read(), None, "mutex {byte}");
    }
    for byte in [0, 8, 1, 3] {
        assert_eq!(written().with_lock(0, byte).read(), None, "rwlock {byte}");
    }
    // A condition variable has the address of its mutex there.
    assert_eq!(mutex().with_lock(0, 0x80).with_lock(5, 0x55).read(), None);
    // The last writer waits only while there are readers.
    assert_eq!(read_locked().with_lock(0, 0x0a).read(), None);
}

#[test]
fn every_member_is_checked() {
    let changed = [
        (-25, 1, "the key is the kernel's"),
        (-24, 1, "the next thread is no address"),
        (-16, 2, "an unknown token of the last wake"),
        (-8, 1, "an unknown token"),
        (0, 0, "it is not parked"),
        (4, 1, "it has a timeout"),
    ];
    for (offset, byte, why) in changed {
        assert_eq!(mutex().with(offset, byte).target(), None, "{why}");
    }
    assert_eq!(written().with(-32, 0x22).target(), None, "a read-write lock has two keys");
    for (op, val) in [(0x80, 2), (0, 1), (0x89, 1), (0x189, 1)] {
        let mut other = mutex();
        (other.wait.op, other.wait.val) = (op, val);
        assert_eq!(other.target(), None, "op {op:#x}, val {val}");
    }
}

//! Memory of a program built by rustc 1.95: a second thread took the lock, which was in an `Arc`,
//! the process forked, and the child waits for it. The dumps begin with the `Arc`'s second counter.

use super::{Case, LOCK, survives_truncation};
use crate::locks::{Identity, Language, Meaning, State, Thing, Word};

/// `FUTEX_WAIT_BITSET`, private, on the monotonic clock.
const WAIT: u32 = 0x89;
const HELD: State = State::Held { owner: None };

fn mutex() -> Case {
    let then = "0100000000000000010000000000000007000000000000000700000000000000";
    let now = "0100000000000000020000000000000007000000000000000700000000000000";
    Case::new(0, WAIT, 2, then, now)
}

/// A writer that waits for a reader.
fn read_locked() -> Case {
    let then = "010000000000000001000000000000000007000000000000";
    let now = "010000000000000001000080000000000007000000000000";
    Case::new(4, WAIT, 0, then, now)
}

/// A reader that waits for a writer.
fn write_locked() -> Case {
    let then = "0100000000000000ffffff3f000000000007000000000000";
    let now = "0100000000000000ffffff7f000000000007000000000000";
    Case::new(0, WAIT, 0x7fff_ffff, then, now)
}

/// A static, which lies in the program's own data.
fn once() -> Case {
    let then = "8001fbc93b560000010000000000000000000000000000000700000001000000";
    let now = "8001fbc93b560000050000000000000000000000000000000700000001000000";
    let mut once = Case::new(0, WAIT, 5, then, now);
    once.mapping.as_mut().unwrap().path = "/srv/app/server".into();
    once
}

/// The same with another value at the fork.
fn inherited(case: &Case, word: u32) -> State {
    case.clone().with_inherited(0, word).read().unwrap().at_fork
}

#[test]
fn reads_each_lock() {
    let expected = [
        (mutex(), "Rust std Mutex", 1, 2, Meaning::Locked),
        (once(), "Rust std Once", 1, 5, Meaning::BeingInitialised),
        (
            read_locked(),
            "Rust std RwLock (held for reading)",
            1,
            0x8000_0001,
            Meaning::HeldByReaders(1),
        ),
        (
            write_locked(),
            "Rust std RwLock (held for writing)",
            0x3fff_ffff,
            0x7fff_ffff,
            Meaning::HeldForWriting { by: None },
        ),
    ];
    for (case, kind, then, now, meaning) in expected {
        let reading = case.read().unwrap();
        assert_eq!((reading.family.name, reading.address), (kind, LOCK));
        assert_eq!((reading.at_fork, reading.now), (HELD, HELD), "{kind}");
        assert_eq!((reading.value_at_fork, reading.value), (Some(then), now), "{kind}");
        assert_eq!(reading.word.inherited, Some(Word::new(then, meaning)));
        assert_eq!(reading.word.identity, None, "{kind}");
        assert!(!reading.family.anyone_may_release, "{kind}");
        survives_truncation(&case);
    }
}

#[test]
fn what_was_not_held_at_the_fork_is_free() {
    for word in [0, 3, 7, u32::MAX] {
        assert_eq!(inherited(&mutex(), word), State::Free, "mutex {word}");
    }
    for word in [0, 2, 3, 4, 7] {
        assert_eq!(inherited(&once(), word), State::Free, "once {word}");
    }
    for word in [0, 1 << 30, 1 << 31, 1 << 29] {
        assert_eq!(inherited(&read_locked(), word), State::Free, "rwlock {word:#x}");
        assert_eq!(inherited(&write_locked(), word), State::Free, "rwlock {word:#x}");
    }
    let mut unknown = mutex();
    unknown.at_fork = None;
    assert_eq!(unknown.read().unwrap().at_fork, State::Unknown);
}

#[test]
fn a_word_that_is_the_same_since_may_be_a_counter() {
    for (case, word) in [(mutex(), 2), (once(), 5), (write_locked(), 0x7fff_ffff)] {
        assert_eq!(case.with_inherited(0, word).read(), None, "{word:#x}");
    }
}

#[test]
fn other_bytes_before_it_are_another_use_of_the_memory() {
    for case in [mutex(), read_locked(), write_locked()] {
        let reading = case.with_inherited(-8, 0x31).read().unwrap();
        assert_eq!(reading.at_fork, State::Unknown, "{}", reading.family.name);
        assert_eq!(reading.word.identity, Some(Identity::Unproven(Thing::ThisLock)));
    }
    let of_a_file = once().with_inherited(-8, 0x31);
    assert_eq!(of_a_file.read().unwrap().at_fork, HELD, "a variable is what it was");
}

#[test]
fn another_kind_of_hold_is_not_the_same_hold() {
    for (case, word) in [(read_locked(), 0x3fff_ffff), (write_locked(), 1)] {
        assert_eq!(case.with_inherited(0, word).read().unwrap().now, State::Free);
    }
}

#[test]
fn a_reader_waits_behind_a_writer_only() {
    let alone = read_locked().with(0, 0x4000_0001);
    let at = |case: &Case, uaddr: u64, val: u64| {
        let mut case = case.clone();
        (case.wait.uaddr, case.wait.val) = (uaddr, val);
        case.read()
    };
    assert_eq!(at(&alone, LOCK, 0x4000_0001), None);
    let queued = read_locked().with(0, 0xc000_0001).with_inherited(0, 1);
    assert_eq!(at(&queued, LOCK, 0xc000_0001).unwrap().at_fork, HELD);
    assert_eq!(at(&read_locked(), LOCK + 4, 1), None, "the counter is not what is expected");
}

#[test]
fn a_parked_thread_waits_for_no_lock() {
    let mut parked = mutex().with(0, u32::MAX);
    parked.wait.val = u32::MAX.into();
    for inherited in [0, 1, 7, u32::MAX] {
        assert_eq!(parked.clone().with_inherited(0, inherited).read(), None, "{inherited}");
    }
    let writer = parked.clone().with_inherited(0, 0x3fff_ffff).read().unwrap();
    assert_eq!(writer.family.name, "Rust std RwLock (held for writing)");
    parked.at_fork = None;
    assert_eq!(parked.read(), None);
}

#[test]
fn counters_of_condition_variables_are_no_locks() {
    for count in [0, 1, 3, 4, 6, 7, 100] {
        let mut notified = mutex().with(0, count);
        notified.wait.val = count.into();
        assert_eq!(notified.read(), None, "{count}");
    }
}

#[test]
fn other_waits_are_refused() {
    // glibc's mutex and semaphore, a shared word, and another system call.
    for op in [0x80, 0x189, 0x9, 0x89 | 1 << 16] {
        for mut case in [mutex(), once(), read_locked(), write_locked()] {
            case.wait.op = op;
            let family = case.read().map(|reading| reading.family);
            let is_rust = family.is_some_and(|it| it.language == Some(Language::Rust));
            assert!(!is_rust, "{op:#x}: {family:?}");
        }
    }
    let mut timed = mutex();
    timed.wait.timed = true;
    assert_eq!(timed.read(), None);
    assert_eq!(mutex().with(0, 1).read(), None, "the word is not what is expected");
}

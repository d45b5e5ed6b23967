use super::{Case, LOCK, WAIT, WAIT_BITSET, survives_truncation};
use crate::locks::{Meaning, State, Word};

const WRITING: &str = "glibc rwlock (held for writing)";
const READING: &str = "glibc rwlock (held for reading)";

/// Held for writing by tid 5145, waited for by a writer.
fn writer_behind_writer() -> Case {
    Case::new(
        12,
        WAIT_BITSET,
        3,
        "5100000000000000030000000000000001000000010000000000000000000000191400000000000000000000000000000000000000000000000000000000000000000000",
        "5100000000000000030000000000000001000000030000000000000000000000191400000000000000000000000000000000000000000000000000000000000000000000",
    )
}

/// Held for writing by tid 5149, waited for by a reader.
fn reader_behind_writer() -> Case {
    Case::new(
        8,
        WAIT_BITSET,
        3,
        "51000000000000000300000000000000010000000100000000000000000000001d1400000000000000000000000000000000000000000000000000000000000000000000",
        "51000000000000000b00000000000000030000000100000000000000000000001d1400000000000000000000000000000000000000000000000000000000000000000000",
    )
}

/// Held by one reader, waited for by a writer.
fn writer_behind_reader() -> Case {
    Case::new(
        8,
        WAIT_BITSET,
        2,
        "5100000000000000080000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "51000000000000000a0000000000000002000000010000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    )
}

/// `PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP`, held by one reader; a thread of the child waits
/// to write, and behind it another waits to read.
fn reader_behind_queued_writer() -> Case {
    Case::new(
        0,
        WAIT_BITSET,
        0xe,
        "5100000000000000080000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000020000000000000000000000",
        "51000000000000000e0000000000000002000000010000000000000000000000000000000000000000000000000000000000000000000000020000000000000000000000",
    )
}

#[test]
fn names_the_writer() {
    for (case, tid) in [(writer_behind_writer(), 5145), (reader_behind_writer(), 5149)] {
        let reading = case.read().unwrap();
        assert_eq!((reading.family.name, reading.address), (WRITING, LOCK));
        assert_eq!(reading.at_fork, State::Held { owner: Some(tid) });
        assert_eq!(reading.now, State::Held { owner: Some(tid) });
        assert_eq!(reading.value_at_fork, Some(3));
        let written = Word::new(3_u32, Meaning::HeldForWriting { by: Some(tid) });
        assert_eq!(reading.word.inherited, Some(written));
        survives_truncation(&case);
    }
}

#[test]
fn readers_are_counted_not_named() {
    for case in [writer_behind_reader(), reader_behind_queued_writer()] {
        let reading = case.read().unwrap();
        assert_eq!((reading.family.name, reading.address), (READING, LOCK));
        assert_eq!(reading.at_fork, State::Held { owner: None });
        assert_eq!(reading.word.inherited, Some(Word::new(8_u32, Meaning::HeldByReaders(1))));
        assert!(!reading.family.anyone_may_release);
        survives_truncation(&case);
    }
}

#[test]
fn a_writer_queued_behind_readers_at_the_fork_is_no_owner() {
    // A writer waits behind three readers; the child's writer then waits behind that one.
    let queued = writer_behind_writer().with(0, 0x1a).with(8, 2).with(24, 0);
    let reading = queued.read().unwrap();
    assert_eq!((reading.family.name, reading.at_fork), (READING, State::Held { owner: None }));
    assert_eq!(reading.word.inherited, Some(Word::new(0x1a_u32, Meaning::HeldByReaders(3))));
}

#[test]
fn free_and_changed_at_the_fork() {
    assert_eq!(writer_behind_writer().with_inherited(0, 0).read().unwrap().at_fork, State::Free);
    // Idle after a writer, and readers about to begin: nobody has it.
    assert_eq!(writer_behind_writer().with_inherited(0, 1).read().unwrap().at_fork, State::Free);
    assert_eq!(writer_behind_writer().with_inherited(0, 9).read().unwrap().at_fork, State::Free);
    // Held otherwise than it is waited for now, or by a lock of another kind.
    let other = writer_behind_writer().with_inherited(0, 8).read().unwrap();
    assert_eq!(other.at_fork, State::HeldUnproven);
    let other = writer_behind_writer().with_inherited(48, 1).read().unwrap();
    assert_eq!(other.at_fork, State::HeldUnproven);
}

#[test]
fn a_writer_that_has_not_signed_yet_is_no_owner() {
    let unsigned = reader_behind_writer().with(24, 0).read().unwrap();
    assert_eq!(unsigned.at_fork, State::Held { owner: None });
}

#[test]
fn impossible_words_are_refused() {
    for offset in [16, 20, 36, 40, 44] {
        assert_eq!(writer_behind_writer().with(offset, 1).read(), None, "padding at {offset}");
    }
    assert_eq!(writer_behind_writer().with(48, 3).read(), None);
    assert_eq!(writer_behind_writer().with(28, 1).read(), None, "shared, with a private op");
    assert_eq!(writer_behind_writer().with(12, 1).read(), None, "no waiter noted");
    assert_eq!(writer_behind_writer().with(24, u32::MAX).read(), None);
    assert_eq!(reader_behind_writer().with(0, 8).read(), None, "nobody writes");
    assert_eq!(writer_behind_reader().with(0, 2).read(), None, "nobody reads");
    assert_eq!(reader_behind_queued_writer().with(48, 0).read(), None, "readers go first");
    let mut wait = writer_behind_writer();
    wait.wait.op = WAIT;
    assert_eq!(wait.read(), None);
}

use super::{Case, LOCK, WAIT, survives_truncation};
use crate::{
    event::Libc,
    locks::{Meaning, State, Thing, Word},
};

/// A lock of a program that is linked with musl, waited for `offset` bytes into it.
fn case(offset: u64, val: u64, at_fork: &str, now: &str) -> Case {
    let mut case = Case::new(offset, WAIT, val, at_fork, now);
    case.libc = Some(Libc::Musl);
    case
}

/// A mutex of the normal type.
fn normal() -> Case {
    case(
        4,
        0x8000_0010,
        "000000000000000000000000100000000000000000000000000000000000000000000000000000000000000000000000",
        "000000000000000000000000100000800100000000000000000000000000000000000000000000000000000000000000",
    )
}

/// `PTHREAD_MUTEX_RECURSIVE`, held by tid 1489.
fn recursive() -> Case {
    case(
        4,
        0x8000_05d1,
        "000000000000000001000000d105000000000000000000000000000000000000c00b90df077f0000c00b90df077f0000",
        "000000000000000001000000d105008001000000000000000000000000000000c00b90df077f0000c00b90df077f0000",
    )
}

/// `PTHREAD_MUTEX_ERRORCHECK`, held by tid 1525.
fn errorcheck() -> Case {
    case(
        4,
        0x8000_05f5,
        "000000000000000002000000f505000000000000000000000000000000000000c02ba152277f0000c02ba152277f0000",
        "000000000000000002000000f505008001000000000000000000000000000000c02ba152277f0000c02ba152277f0000",
    )
}

/// `PTHREAD_MUTEX_ROBUST`, held by tid 1502.
fn robust() -> Case {
    case(
        4,
        0x8000_05de,
        "000000000000000004000000de05000000000000000000000000000000000000c09ba34bd07f0000c09ba34bd07f0000",
        "000000000000000004000000de05008001000000000000000000000000000000c09ba34bd07f0000c09ba34bd07f0000",
    )
}

/// A read-write lock, held by a writer.
fn written() -> Case {
    case(
        0,
        0xffff_ffff,
        "0000000000000000ffffff7f00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000ffffffff01000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    )
}

/// A read-write lock, held by a reader.
fn read() -> Case {
    case(
        0,
        0x8000_0001,
        "00000000000000000100000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "00000000000000000100008001000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    )
}

/// `pthread_once` while the function runs.
fn once() -> Case {
    case(0, 3, "20b09cff7b7f00000100000000000000", "20b09cff7b7f00000300000000000000")
}

/// `flockfile`, by tid 1501. The memory before offset 12 is not read from a living process.
fn file() -> Case {
    let words = |lock: &str| {
        format!(
            "{}30326526087f000000000000000000000000000000000000000000000000000000000000000000002033\
             6526087f000020346526087f000010346526087f000010115f26087f000000040000000000000000000000\
             00000000000000000000000300000000000000010000000000000000000000{lock}ffffffff\
             0000000000000000",
            "00".repeat(32),
        )
    };
    let mut case = case(140, 0x4000_05dd, &words("dd050000"), &words("dd050040"));
    case.mapping.as_mut().unwrap().path.clear();
    case
}

#[test]
fn mutexes() {
    let cases = [
        (normal(), "musl mutex", None, Word::new(0x10_u32, Meaning::Locked)),
        (
            recursive(),
            "musl mutex (recursive)",
            Some(1489),
            Word::new(0x5d1_u32, Meaning::LockedBy(1489)),
        ),
        (
            errorcheck(),
            "musl mutex (error-checking)",
            Some(1525),
            Word::new(0x5f5_u32, Meaning::LockedBy(1525)),
        ),
        (
            robust(),
            "musl mutex (robust)",
            Some(1502),
            Word::new(0x5de_u32, Meaning::LockedBy(1502)),
        ),
    ];
    for (case, kind, owner, word) in cases {
        let reading = case.read().unwrap();
        assert_eq!((reading.family.name, reading.address), (kind, LOCK));
        assert_eq!((reading.at_fork, reading.now), (State::Held { owner }, State::Held { owner }));
        assert_eq!(reading.word.inherited, Some(word));
        assert!(!reading.family.anyone_may_release);
        survives_truncation(&case);
        assert_eq!(case.with_inherited(4, 0).read().unwrap().at_fork, State::Free);
    }
    let other = recursive().with_inherited(0, 2).read().unwrap();
    assert_eq!(other.at_fork, State::HeldUnproven, "another type then");
    let odd = normal().with_inherited(4, 0x11).read().unwrap();
    assert_eq!(odd.word.inherited, Some(Word::new(0x11_u32, Meaning::NotOf(Thing::Mutex))));
}

#[test]
fn words_that_are_no_mutex() {
    assert_eq!(normal().with(8, 0).read(), None, "a waiter counts itself");
    assert_eq!(normal().with(20, 1).read(), None, "a normal mutex does not count");
    assert_eq!(normal().with(24, 8).read(), None, "nor is it in a list");
    assert_eq!(recursive().with(24, 0).with(28, 0).read(), None, "the others are");
    for kind in [3, 8, 16, 0x100] {
        assert_eq!(normal().with(0, kind).read(), None, "kind {kind}");
    }
    assert_eq!(normal().with(0, 128).read(), None, "a shared mutex waits with a shared op");
    let mut shared = recursive().with(0, 129);
    shared.wait.op = 0;
    assert_eq!(shared.read().unwrap().family.name, "musl mutex (recursive)");
    let mut wait = normal();
    wait.wait.val = 0x8000_0011;
    assert_eq!(wait.read(), None);
    let mut glibc = normal();
    glibc.libc = Some(Libc::Glibc);
    assert_eq!(glibc.read(), None);
}

#[test]
fn a_static_program_has_the_same_locks() {
    for mut case in [normal(), recursive(), written(), read(), file()] {
        case.libc = None;
        assert!(case.read().unwrap().family.name.starts_with("musl "));
    }
    let mut case = once();
    case.libc = None;
    assert_eq!(case.read(), None, "but a word of 3 is not enough");
}

#[test]
fn rwlocks() {
    let cases = [
        (
            written(),
            "musl rwlock (held for writing)",
            Word::new(0x7fff_ffff_u32, Meaning::HeldForWriting { by: None }),
        ),
        (read(), "musl rwlock (held for reading)", Word::new(1_u32, Meaning::HeldByReaders(1))),
    ];
    for (case, kind, word) in cases {
        let reading = case.read().unwrap();
        assert_eq!((reading.family.name, reading.address), (kind, LOCK));
        assert_eq!(reading.at_fork, State::Held { owner: None });
        assert_eq!(reading.word.inherited, Some(word));
        survives_truncation(&case);
        assert_eq!(case.clone().with_inherited(0, 0).read().unwrap().at_fork, State::Free);
        let other = case.clone().with_inherited(8, 128).read().unwrap();
        assert_eq!(other.at_fork, State::HeldUnproven);
        assert_eq!(case.clone().with(4, 0).read(), None, "a waiter counts itself");
        assert_eq!(case.clone().with(8, 128).read(), None, "shared, with a private op");
        for offset in (12..56).step_by(4) {
            assert_eq!(case.clone().with(offset, 1).read(), None, "unused word at {offset}");
        }
    }
    let then = written().with_inherited(0, 2).read().unwrap();
    assert_eq!(then.at_fork, State::HeldUnproven, "held otherwise then");
}

#[test]
fn functions_run_once() {
    let reading = once().read().unwrap();
    assert_eq!(
        (reading.family.name, reading.at_fork),
        ("musl pthread_once", State::Held { owner: None })
    );
    assert_eq!(reading.word.inherited, Some(Word::new(1_u32, Meaning::Running)));
    survives_truncation(&once());
    assert_eq!(once().with_inherited(0, 0).read().unwrap().at_fork, State::Free);
    assert_eq!(once().with_inherited(0, 7).read(), None);
    let mut shared = once();
    shared.wait.op = 0;
    assert_eq!(shared.read(), None);
}

#[test]
fn files() {
    let reading = file().read().unwrap();
    assert_eq!((reading.family.name, reading.address), ("musl FILE lock", LOCK + 140));
    assert_eq!(reading.at_fork, State::Held { owner: Some(1501) });
    assert_eq!(reading.word.inherited, Some(Word::new(0x5dd_u32, Meaning::LockedBy(1501))));
    let odd = file().with_inherited(140, 0x8000_0000).read().unwrap();
    assert_eq!(odd.word.inherited, Some(Word::bare(0x8000_0000_u32)));
    survives_truncation(&file());
    for word in [0, u32::MAX] {
        assert_eq!(file().with_inherited(140, word).read().unwrap().at_fork, State::Free);
    }
    assert_eq!(file().with(48, 1).read(), None, "must be zero");
    assert_eq!(file().with(80, 0).with(84, 0).read(), None, "no function");
    assert_eq!(file().with(100, 1).read(), None, "a buffer of 4 GiB");
    assert_eq!(file().with(120, 0x8000_0003).read(), None, "no file descriptor");
    assert_eq!(file().with(136, 7).read(), None, "no mode");
    assert_eq!(file().with(144, 7).read(), None, "no line ending");
    assert_eq!(file().with(140, 0x05dd).read(), None, "nobody waits");
}

use forktrace_common::futex::{FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_PRIVATE_FLAG};

use super::{Case, WAIT, survives_truncation};
use crate::locks::{Meaning, Reading, State, Word};

/// `PTHREAD_MUTEX_ROBUST` of the normal type; held by tid 1395.
fn normal() -> Case {
    Case::new(
        0,
        0,
        0x8000_0573,
        "0000000000000000730500000100000073050000010000009002000000000000a049422b647f0000a049422b647f0000",
        "0000000000000000730500800100000073050000010000009002000000000000a049422b647f0000a049422b647f0000",
    )
}

/// Recursive and robust; held by tid 1524.
fn recursive() -> Case {
    Case::new(
        0,
        0,
        0x8000_05f4,
        "0000000000000000f405000001000000f4050000010000009100000000000000a019ce165b7f0000a019ce165b7f0000",
        "0000000000000000f405008001000000f4050000010000009100000000000000a019ce165b7f0000a019ce165b7f0000",
    )
}

/// Error-checking and robust; held by tid 1508.
fn errorcheck() -> Case {
    Case::new(
        0,
        0,
        0x8000_05e4,
        "0000000000000000e405000001000000e4050000010000009200000000000000a099ab96b57f0000a099ab96b57f0000",
        "0000000000000000e405008001000000e4050000010000009200000000000000a099ab96b57f0000a099ab96b57f0000",
    )
}

/// Priority inheriting and robust; held by tid 1509.
fn prio_inherit() -> Case {
    Case::new(
        0,
        FUTEX_LOCK_PI,
        0,
        "0000000000000000e505000001000000e505000001000000b002000000000000a0c97a0bb87f0000a0c97a0bb87f0000",
        "0000000000000000e505008001000000e505000001000000b002000000000000a0c97a0bb87f0000a0c97a0bb87f0000",
    )
}

fn held_by(reading: &Reading) -> Option<u32> {
    match (reading.at_fork, reading.now) {
        (State::Held { owner: then }, State::Held { owner: now }) if then == now => then,
        _ => None,
    }
}

#[test]
fn the_word_names_the_owner() {
    let cases = [
        (normal(), "glibc mutex (robust)", 1395),
        (recursive(), "glibc mutex (robust, recursive)", 1524),
        (errorcheck(), "glibc mutex (robust, error-checking)", 1508),
        (prio_inherit(), "glibc mutex (robust, priority inheriting)", 1509),
    ];
    for (case, kind, owner) in cases {
        let reading = case.read().unwrap();
        assert_eq!((reading.family.name, held_by(&reading)), (kind, Some(owner)));
        let locked = Word::new(owner, Meaning::LockedBy(owner));
        assert_eq!(reading.word.inherited, Some(locked));
        assert!(!reading.family.anyone_may_release);
        survives_truncation(&case);
    }
    let mut newer = prio_inherit();
    newer.wait.op = FUTEX_LOCK_PI2;
    assert!(newer.read().is_some());
}

#[test]
fn free_and_changed_at_the_fork() {
    assert_eq!(normal().with_inherited(0, 0).read().unwrap().at_fork, State::Free);
    // The owner died: the next one gets it.
    assert_eq!(normal().with_inherited(0, 0x4000_0000).read().unwrap().at_fork, State::Free);
    // Another kind of mutex, or one that is being taken and says so only in its word.
    let unproven = |case: Case| case.read().unwrap().at_fork == State::HeldUnproven;
    assert!(unproven(normal().with_inherited(16, 0x291)));
    assert!(unproven(normal().with_inherited(8, 0)));
    let mut unknown = normal();
    unknown.at_fork = None;
    assert_eq!(unknown.read().unwrap().at_fork, State::Unknown);
}

#[test]
fn impossible_words_are_refused() {
    assert_eq!(normal().with(8, 7).read(), None, "two owners");
    assert_eq!(normal().with(0, 0x0573).read(), None, "nobody waits");
    assert_eq!(normal().with(0, 0xc000_0573).read(), None, "the owner died");
    assert_eq!(normal().with(4, 0).read(), None, "a held one counts");
    assert_eq!(normal().with(12, 0).read(), None, "nobody uses it");
    assert_eq!(normal().with(24, 0).with(28, 0).read(), None, "in nobody's list");
    for kind in [0, 0x80, 0x100 | 16, 64 | 16, 0x1000 | 16] {
        assert_eq!(normal().with(16, kind).read(), None, "kind {kind:#x}");
    }
    let mut private = normal();
    private.wait.op = WAIT;
    assert_eq!(private.read(), None, "robust mutexes wait with the shared op");
    let mut other = prio_inherit();
    other.wait.op |= FUTEX_PRIVATE_FLAG;
    assert_eq!(other.read(), None);
    other.wait.op = 0;
    other.wait.val = 0x8000_05e5;
    assert_eq!(other.read(), None, "priority inheriting ones do not FUTEX_WAIT");
    let mut wrong = normal();
    wrong.wait.val = 0x8000_0574;
    assert_eq!(wrong.read(), None);
}

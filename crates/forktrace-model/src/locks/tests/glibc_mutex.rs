use super::{Case, WAIT, WAIT_BITSET, survives_truncation};
use crate::locks::{
    Base, Meaning, Part, Reading, State, Word, WordFact, glibc_mutex::NORMAL_MUTEX,
};

/// `pthread_mutexattr_settype(PTHREAD_MUTEX_NORMAL)`; held by tid 5113.
fn normal() -> Case {
    Case::new(
        0,
        WAIT,
        2,
        "51000000000000000100000000000000f913000001000000000200000000000000000000000000000000000000000000",
        "51000000000000000200000000000000f913000001000000000200000000000000000000000000000000000000000000",
    )
}

/// `PTHREAD_MUTEX_RECURSIVE`; held by tid 5117.
fn recursive() -> Case {
    Case::new(
        0,
        WAIT,
        2,
        "51000000000000000100000001000000fd13000001000000010000000000000000000000000000000000000000000000",
        "51000000000000000200000001000000fd13000001000000010000000000000000000000000000000000000000000000",
    )
}

/// `PTHREAD_MUTEX_ERRORCHECK`; held by tid 5121.
fn errorcheck() -> Case {
    Case::new(
        0,
        WAIT,
        2,
        "510000000000000001000000000000000114000001000000020000000000000000000000000000000000000000000000",
        "510000000000000002000000000000000114000001000000020000000000000000000000000000000000000000000000",
    )
}

/// `PTHREAD_MUTEX_ADAPTIVE_NP`; held by tid 5125.
fn adaptive() -> Case {
    Case::new(
        0,
        WAIT,
        2,
        "510000000000000001000000000000000514000001000000030000000000000000000000000000000000000000000000",
        "510000000000000002000000000000000514000001000000030000000000000000000000000000000000000000000000",
    )
}

/// The word of a mutex that tid 5113 holds.
fn word(value: u32, meaning: Meaning) -> Word {
    Word { owner: Some(5113), ..Word::new(value, meaning) }
}

#[test]
fn reads_a_held_mutex() {
    let reading = normal().read().unwrap();
    assert_eq!(
        reading,
        Reading {
            family: &NORMAL_MUTEX,
            address: super::LOCK,
            at_fork: State::Held { owner: Some(5113) },
            now: State::Held { owner: Some(5113) },
            value_at_fork: Some(1),
            value: 2,
            word: WordFact {
                part: Part::Word,
                base: Base::Decimal,
                inherited: Some(word(1, Meaning::Locked)),
                now: word(2, Meaning::LockedWithWaiters),
                identity: None,
            },
        }
    );
}

#[test]
fn names_the_kind_and_the_owner() {
    for (case, kind, tid) in [
        (recursive(), "glibc mutex (recursive)", 5117),
        (errorcheck(), "glibc mutex (error-checking)", 5121),
        (adaptive(), "glibc mutex (adaptive)", 5125),
    ] {
        let reading = case.read().unwrap();
        assert_eq!(reading.family.name, kind);
        assert_eq!(reading.at_fork, State::Held { owner: Some(tid) });
        survives_truncation(&case);
    }
    survives_truncation(&normal());
}

#[test]
fn without_inherited_memory_the_past_is_unknown() {
    let mut case = normal();
    case.at_fork = None;
    let reading = case.read().unwrap();
    assert_eq!((reading.at_fork, reading.value_at_fork), (State::Unknown, None));
    let now = word(2, Meaning::LockedWithWaiters);
    assert_eq!((reading.word.inherited, reading.word.now), (None, now));
}

#[test]
fn a_free_word_was_free() {
    let free = normal().with_inherited(0, 0).with_inherited(8, 0).with_inherited(12, 0);
    let reading = free.read().unwrap();
    assert_eq!((reading.at_fork, reading.value_at_fork), (State::Free, Some(0)));
    assert_eq!(normal().with_inherited(0, 77).read().unwrap().at_fork, State::Free);
}

#[test]
fn an_owner_that_changed_is_shown_as_such() {
    let reading = normal().with_inherited(8, 4000).read().unwrap();
    assert_eq!(reading.at_fork, State::Held { owner: Some(4000) });
    assert_eq!(reading.now, State::Held { owner: Some(5113) });
}

#[test]
fn bytes_that_were_no_mutex_yet_prove_nothing() {
    assert_eq!(normal().with_inherited(16, 1).read().unwrap().at_fork, State::HeldUnproven);
    assert_eq!(normal().with_inherited(8, 0).read().unwrap().at_fork, State::HeldUnproven);
    assert_eq!(normal().with_inherited(12, 0).read().unwrap().at_fork, State::HeldUnproven);
}

#[test]
fn a_word_without_owner_is_somebody_elses() {
    // glibc's internal locks and Rust's Mutex go 1 → 2 as well, with anything behind the word.
    assert_eq!(normal().with(8, 0).with(12, 0).with(16, 0).read(), None);
    assert_eq!(normal().with(8, 0).read(), None);
    assert_eq!(normal().with(12, 0).read(), None);
    assert_eq!(normal().with(8, 0x5555_5555).read(), None);
    let mut rust = normal();
    rust.wait.op = WAIT_BITSET & !0x100;
    assert_eq!(rust.read().unwrap().family.name, "Rust std Mutex");
}

#[test]
fn other_kinds_and_impossible_words_are_refused() {
    // Robust, priority inheriting, priority protecting, elided, and bits that no kind has.
    for kind in [16, 32, 64, 256, 4, 0x1000, u32::MAX] {
        assert_eq!(normal().with(16, kind).read(), None, "kind {kind:#x}");
    }
    assert_eq!(normal().with(4, 1).read(), None, "only recursive mutexes count");
    assert_eq!(recursive().with(4, 0).read(), None, "a held recursive mutex counts");
    assert_eq!(normal().with(24, 8).read(), None, "only robust mutexes are listed");
    assert_eq!(normal().with(16, 128).read(), None, "a shared mutex waits with a shared op");
    let mut other = normal();
    other.wait.val = 1;
    assert_eq!(other.read(), None);
}

#[test]
fn a_process_shared_mutex_is_recognised_by_its_shared_op() {
    let mut shared = normal().with(16, 128);
    shared.wait.op = 0;
    assert_eq!(shared.read().unwrap().family.name, "glibc mutex");
}

use super::{Case, LOCK, Reading, WAIT, WAIT_BITSET, read_event};
use crate::locks::{State, Word};

fn read(case: &Case) -> Option<Reading> {
    assert_eq!(case.read(), None, "no lock");
    read_event(&case.scene())
}

/// `pthread_barrier_wait` at a barrier of two.
fn barrier() -> Case {
    Case::new(
        4,
        WAIT,
        0,
        "0000000000000000000000000000000002000000000000000000000000000000",
        "0000000000000000010000000000000002000000000000000000000000000000",
    )
}

/// `pthread_cond_wait`.
fn cond() -> Case {
    Case::new(
        40,
        WAIT_BITSET,
        0,
        "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000020000000000000000000000000000000200000000000000000000000000000000000000080000000000000000000000",
    )
}

/// `std::atomic<int>::wait` of libstdc++.
fn atomic() -> Case {
    Case::new(0, 0, 3, "02000000030000000300000000000000", "02000000030000000300000000000000")
}

#[test]
fn what_is_waited_for_without_being_held() {
    let cases = [
        (barrier(), "glibc barrier", LOCK),
        (cond(), "glibc condition variable", LOCK),
        (atomic(), "futex word", LOCK),
    ];
    for (case, kind, address) in cases {
        let reading = read(&case).unwrap();
        assert_eq!((reading.family.name, reading.address), (kind, address));
        assert_eq!((reading.at_fork, reading.now), (State::HeldUnproven, State::Free));
        assert!(reading.family.anyone_may_release);
        let bare = Word::bare(reading.value);
        assert_eq!((reading.word.inherited, reading.word.now), (Some(bare), bare));
    }
}

#[test]
fn a_word_that_changed_says_nothing() {
    assert_eq!(read(&atomic().with_inherited(0, 2)).unwrap().at_fork, State::Free);
    let mut unknown = atomic();
    unknown.at_fork = None;
    assert_eq!(read(&unknown).unwrap().at_fork, State::Unknown);
    let mut over = atomic();
    over.wait.val = 4;
    assert_eq!(read(&over), None, "the waiter is about to wake up");
    for op in [6, 11, 0x1_0000, 0x1_0001] {
        let mut other = atomic();
        other.wait.op = op;
        assert_eq!(read(&other), None, "op {op:#x}");
    }
}

#[test]
fn barriers_by_their_numbers() {
    let kind = |case: Case| read(&case).unwrap().family.name;
    assert_eq!(kind(barrier().with(0, 0)), "futex word", "nobody came");
    assert_eq!(kind(barrier().with(8, 1)), "futex word", "for one alone");
    assert_eq!(kind(barrier().with(0, 2)), "futex word", "all came");
    assert_eq!(kind(barrier().with(16, 9)), "futex word", "more left than came");
}

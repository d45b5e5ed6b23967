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

/// The same in the second of its groups, after 114 waits: as captured, glibc 2.36.
fn cond_second_group() -> Case {
    let now = concat!(
        "0000000000000000e500000000000000e100000000000000000000000200000000000000000000000400",
        "00000a0000000000000000000000",
    );
    Case::new(44, WAIT_BITSET, 0, now, now)
}

/// The same since glibc 2.41: without `__g_refs`.
fn cond_second_group_since_2_41() -> Case {
    let now = concat!(
        "0000000000000000e500000000000000e100000000000000000000000000000004000000080000000000",
        "0000000000000000000000000000",
    );
    Case::new(36, WAIT_BITSET, 0, now, now)
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
        (cond_second_group(), "glibc condition variable", LOCK),
        (cond_second_group_since_2_41(), "glibc condition variable", LOCK),
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
fn the_second_group_only_of_a_condition_variable() {
    let kind = |case: Case| read(&case).unwrap().family.name;
    let mut unknown = cond_second_group();
    unknown.at_fork = None;
    assert_eq!(kind(unknown), "glibc condition variable", "whatever was there at the fork");
    let not = |at, value| kind(cond_second_group().with(at, value));
    assert_eq!(not(36, 2), "futex word", "nobody waits");
    assert_eq!(not(20, 0), "futex word", "nobody waits in this group");
    assert_eq!(not(20, 4), "futex word", "more than wait at all");
    assert_eq!(not(8, 0xe0), "futex word", "its words do not agree on the group");
    assert_eq!(not(0, 1), "futex word", "nobody has ever waited");
    assert_eq!(not(32, 7), "futex word", "its lock has no such state");
    let mut other = cond_second_group();
    other.wait.op = WAIT;
    assert_eq!(kind(other), "futex word", "glibc waits for it with a bit set");
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

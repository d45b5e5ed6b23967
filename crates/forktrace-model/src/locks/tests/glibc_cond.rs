use super::{Case, LOCK, WAIT, WAIT_BITSET, survives_truncation};
use crate::locks::{Meaning, State, Word};

/// `pthread_cond_destroy` while a lost thread waits: as captured.
fn destroyed() -> Case {
    Case::new(
        36,
        WAIT,
        0xc,
        "31000000000000000200000000000000000000000000000002000000000000000000000000000000000000000800000000000000000000000000000000000000",
        "31000000000000000200000000000000000000000000000002000000000000000000000000000000000000000c00000000000000000000000000000000000000",
    )
}

/// The same since glibc 2.41: `__wrefs` at +28.
fn destroyed_since_2_41() -> Case {
    Case::new(
        28,
        WAIT,
        0xc,
        "31000000000000000200000000000000000000000000000000000000000000000000000008000000000000000000000000000000000000000000000000000000",
        "3100000000000000020000000000000000000000000000000000000000000000000000000c000000000000000000000000000000000000000000000000000000",
    )
}

/// A signal that has closed the first group, of two waiters; a third is in the second one.
fn quiescing() -> Case {
    Case::new(
        20,
        WAIT,
        5,
        "31000000000000000600000000000000000000000000000002000000040000000000000000000000090000001800000000000000040000000000000000000000",
        "31000000000000000600000000000000000000000000000002000000050000000000000000000000090000001800000000000000050000000000000000000000",
    )
}

#[test]
fn who_destroys_it_waits_for_its_waiters() {
    for (case, name) in [(destroyed(), "2.36"), (destroyed_since_2_41(), "2.41")] {
        let reading = case.read().unwrap();
        assert_eq!((reading.family.id, reading.address), ("glibc-cond-waiters", LOCK), "{name}");
        assert_eq!(reading.at_fork, State::Held { owner: None });
        assert_eq!(reading.now, State::Held { owner: None });
        let words = (reading.word.inherited, reading.word.now);
        let by_one = |value: u32| Word::new(value, Meaning::UsedByWaiters(1));
        assert_eq!(words, (Some(by_one(8)), by_one(0xc)));
        survives_truncation(&case);
    }
}

#[test]
fn nobody_had_waited_at_the_fork() {
    let case = destroyed().with_inherited(36, 0);
    assert_eq!(case.read().unwrap().at_fork, State::Free);
    let case = destroyed().with_inherited(-8, 0x41).with_inherited(0, 9);
    assert_eq!(case.read().unwrap().at_fork, State::Unknown, "it may have been another thing");
    let mut case = destroyed();
    case.at_fork = None;
    assert_eq!(case.read().unwrap().at_fork, State::Unknown);
}

#[test]
fn who_signals_waits_for_a_group_to_leave() {
    let reading = quiescing().read().unwrap();
    assert_eq!((reading.family.id, reading.address), ("glibc-cond-waiters", LOCK));
    assert_eq!(reading.at_fork, State::Held { owner: None });
    assert_eq!(reading.word.now, Word::new(5_u32, Meaning::UsedByWaiters(2)));
    assert_eq!(quiescing().with(44, 4).read(), None, "the group is open");
    assert_eq!(quiescing().with(32, 8).read(), None, "nobody signals");
    assert_eq!(quiescing().with(36, 16).read(), None, "more in groups than wait");
    survives_truncation(&quiescing());
}

#[test]
fn the_lock_of_those_who_signal() {
    let mut case = destroyed().with(36, 8).with(32, 2).with_inherited(32, 1);
    (case.wait.uaddr, case.wait.val) = (LOCK + 32, 2);
    let reading = case.read().unwrap();
    assert_eq!(reading.family.id, "glibc-cond-internal");
    assert_eq!(reading.at_fork, State::Held { owner: None });
    assert_eq!(case.clone().with_inherited(32, 0).read().unwrap().at_fork, State::Free);
    case.wait.val = 1;
    assert_eq!(case.with(32, 1).read(), None, "without the mark of a waiter");
}

#[test]
fn words_that_are_none_of_a_condition_variable() {
    let not = |case: Case, why: &str| assert_eq!(case.read(), None, "{why}");
    not(destroyed().with(0, 0), "nobody ever waited");
    not(destroyed().with(0, 3), "which group is the second?");
    not(destroyed().with(8, 98), "its group begins after its end");
    not(destroyed().with(24, 1), "more in a group than wait");
    not(destroyed().with(0, 200), "more in a group than wait");
    not(destroyed().with(32, 3), "no state of its lock");
    not(destroyed().with(16, 0), "nobody is blocked");
    let mut case = destroyed().with(36, 4);
    case.wait.val = 4;
    not(case, "no waiter is left");
    let mut case = destroyed().with(36, 8);
    case.wait.val = 8;
    not(case, "nobody destroys it");
    for op in [WAIT_BITSET, 0] {
        let mut case = destroyed();
        case.wait.op = op;
        not(case, "another wait");
    }
    let mut case = destroyed();
    case.wait.val = 0x14;
    not(case, "the waiter is about to wake up");
    let libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
    not(destroyed().called_by(&[(libc, Some("syscall"))]), "others' code waits");
    let by_glibc = destroyed().called_by(&[(libc, Some("pthread_cond_destroy"))]);
    assert!(by_glibc.read().is_some());
}

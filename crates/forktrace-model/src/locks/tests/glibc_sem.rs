use super::{Case, LOCK, WAIT, WAIT_BITSET, survives_truncation};
use crate::locks::{Identity, Meaning, State, Thing, Word};

/// A semaphore of one token in a block of `malloc`, taken.
fn held() -> Case {
    Case::new(
        0,
        WAIT_BITSET,
        0,
        "31000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "31000000000000000000000001000000000000000000000000000000000000000000000000000000",
    )
}

/// `pthread_cond_wait`, on `__g_signals[0]`, 40 bytes into the condition variable.
fn cond() -> Case {
    Case::new(
        40,
        WAIT_BITSET,
        0,
        "510000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "510000000000000002000000000000000000000000000000020000000000000000000000000000000000000008000000000000000000000000000000",
    )
}

#[test]
fn reads_a_semaphore_in_a_heap_block() {
    let reading = held().read().unwrap();
    assert_eq!((reading.family.name, reading.address), ("glibc semaphore", LOCK));
    assert_eq!(reading.at_fork, State::Held { owner: None });
    assert_eq!((reading.value_at_fork, reading.value), (Some(0), 0));
    assert!(reading.family.anyone_may_release);
    assert_eq!(reading.word.inherited, Some(Word::new(0_u32, Meaning::Held)));
    assert_eq!(reading.word.identity, Some(Identity::SameBlock { bytes: 48 }));
    survives_truncation(&held());
}

#[test]
fn a_token_at_the_fork_is_free() {
    let free = held().with_inherited(0, 1).read().unwrap();
    assert_eq!((free.at_fork, free.value_at_fork), (State::Free, Some(1)));
}

#[test]
fn waiters_inherited_do_not_count() {
    let case = held().with(4, 3).with_inherited(4, 2);
    assert_eq!(case.read().unwrap().at_fork, State::Held { owner: None });
    assert_eq!(held().with(4, 0).read(), None, "a waiter counts itself");
}

#[test]
fn a_zero_word_alone_is_no_proof() {
    let unproven = |case: Case| case.read().unwrap().at_fork == State::HeldUnproven;
    assert!(unproven(held().with(-8, 0x21)), "a block too small");
    assert!(unproven(held().with(-8, 0x39)), "no block's size");
    assert!(unproven(held().with(-8, 0x7fff_fff1)), "a block longer than the heap");
    assert!(unproven(held().with_inherited(8, 128)), "another semaphore at the fork");
    let mut shifted = held();
    shifted.wait.uaddr += 8;
    shifted.now.address += 8;
    shifted.at_fork.as_mut().unwrap().address += 8;
    assert!(unproven(shifted), "no block begins here");
    let mut cut = held();
    let at_fork = cut.at_fork.as_mut().unwrap();
    at_fork.address += 8;
    at_fork.bytes.drain(..8);
    assert!(unproven(cut), "the size field is on a page that is not known");
}

#[test]
fn a_block_that_is_younger_than_the_fork_was_no_lock_then() {
    for size in [0x41, 0x2_0c51, 0] {
        let young = held().with_inherited(-8, size).read().unwrap();
        assert_eq!(young.at_fork, State::Free, "size field {size:#x}");
        assert_eq!(young.word.inherited, Some(Word::bare(0_u32)));
        assert_eq!(young.word.identity, Some(Identity::BlockGone));
    }
    // The block before it was freed or allocated meanwhile: the block itself is the same.
    let neighbour = held().with_inherited(-8, 0x30).read().unwrap();
    assert_eq!(neighbour.at_fork, State::Held { owner: None });
}

#[test]
fn only_the_heap_proves() {
    let mut data = held();
    data.mapping.as_mut().unwrap().path = "/usr/bin/program".into();
    let reading = data.read().unwrap();
    assert_eq!(reading.at_fork, State::HeldUnproven);
    assert_eq!(reading.word.inherited, Some(Word::new(0_u32, Meaning::HeldOrUnused)));
    assert_eq!(reading.word.identity, Some(Identity::Unproven(Thing::Semaphore)));
    let mut arena = held();
    arena.mapping.as_mut().unwrap().path.clear();
    assert_eq!(arena.read().unwrap().at_fork, State::Held { owner: None });
    let mut unknown = held();
    unknown.mapping = None;
    assert_eq!(unknown.read().unwrap().at_fork, State::HeldUnproven);
    unknown.at_fork = None;
    assert_eq!(unknown.read().unwrap().at_fork, State::Unknown);
}

#[test]
fn a_semaphore_on_a_stack_is_not_the_lock() {
    let mut main = held();
    main.mapping.as_mut().unwrap().path = "[stack]".into();
    assert_eq!(main.read(), None);
    let mut thread = held().with(-4, 0x7f21);
    thread.mapping.as_mut().unwrap().path.clear();
    assert_eq!(thread.read(), None);
}

#[test]
fn a_semaphore_at_the_start_of_a_mapping_is_on_no_stack() {
    let mut first = held();
    let mapping = first.mapping.as_mut().unwrap();
    (mapping.path, mapping.start) = (String::new(), LOCK);
    for window in [Some(&mut first.now), first.at_fork.as_mut()].into_iter().flatten() {
        window.address = LOCK;
        window.bytes.drain(..8);
    }
    assert_eq!(first.read().unwrap().at_fork, State::HeldUnproven);
    first.mapping.as_mut().unwrap().start -= 4096;
    assert_eq!(first.read(), None, "what is before it is not known");
}

#[test]
fn a_condition_variable_is_no_semaphore() {
    assert_eq!(cond().read(), None);
    // With signals left in the other group the words are those of a semaphore with a waiter.
    assert_eq!(cond().with(44, 2).read(), None);
    // The same variable as laid out since 2.41, where the signals are at +32.
    let mut newer = cond().with(28, 8).with(32, 0).with(36, 2).with(40, 0).with(44, 0);
    newer.wait.uaddr -= 8;
    assert_eq!(newer.read(), None);
}

#[test]
fn other_waits_are_refused() {
    for (op, val) in [(WAIT, 0), (WAIT_BITSET & !0x100, 0), (WAIT_BITSET, 1), (0x109, 0)] {
        let mut other = held();
        other.wait.op = op;
        other.wait.val = val;
        assert_eq!(other.read(), None, "op {op:#x}, val {val}");
    }
    let mut shared = held().with(8, 128);
    shared.wait.op = 0x109;
    assert_eq!(shared.read().unwrap().family.name, "glibc semaphore");
}

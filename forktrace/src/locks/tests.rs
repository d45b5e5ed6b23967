//! The decoders on bytes as real programs had them (x86-64, glibc 2.36), and on bytes that only
//! look alike.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use super::*;

const BASE: u64 = 0x5000_0000_2010;
const MUTEX: u32 = 128;
const SEM: u32 = 393;
const RWLOCK: u32 = 137 | 256;
const OWNER: u32 = 0x6e87;

/// Memory with a malloc chunk header of `size` before the lock.
fn window(size: u32, words: &[u32]) -> Window {
    let header = [size, 0];
    let bytes = header.iter().chain(words).flat_map(|word| word.to_le_bytes()).collect();
    Window { address: BASE - 8, bytes }
}

struct Case {
    op: u32,
    val: u64,
    uaddr: u64,
    path: &'static str,
    at_fork: Option<Window>,
    now: Window,
}

impl Case {
    fn new(op: u32, val: u64, at_fork: &[u32], now: &[u32]) -> Self {
        let (at_fork, now) = (Some(window(0x41, at_fork)), window(0x41, now));
        Case { op, val, uaddr: BASE, path: "[heap]", at_fork, now }
    }

    fn read(&self) -> Option<Reading> {
        let Case { op, val, uaddr, .. } = *self;
        let wait = Wait { enter_ns: 1, uaddr, op, val, timed: false };
        let mapping = Mapping { path: self.path.into(), ..Mapping::default() };
        let at_fork = self.at_fork.as_ref();
        read(&Scene { wait: &wait, mapping: Some(&mapping), now: &self.now, at_fork })
    }
}

fn held(owner: u32) -> State {
    State::Held { owner: Some(owner) }
}

#[test]
fn a_mutex_tells_its_owner_and_its_kind() {
    for (kind, name) in [
        (0, "glibc mutex"),
        (1, "glibc mutex (recursive)"),
        (2, "glibc mutex (error-checking)"),
        (3, "glibc mutex (adaptive)"),
        (128, "glibc mutex"),
    ] {
        let count = u32::from(kind == 1);
        let then = [1, count, OWNER, 1, kind, 0, 0, 0, 0, 0];
        let now = [2, count, OWNER, 1, kind, 0, 0, 0, 0, 0];
        let reading = Case::new(MUTEX, 2, &then, &now).read().unwrap();
        assert_eq!(reading.kind, name);
        assert_eq!((reading.at_fork, reading.now), (held(OWNER), held(OWNER)));
        assert_eq!((reading.value_at_fork, reading.value), (Some(1), 2));
        assert_eq!(reading.address, BASE);
        assert!(!reading.anyone_may_release);
    }
}

#[test]
fn a_mutex_that_was_free_at_the_fork_is_free() {
    let reading = Case::new(MUTEX, 2, &[0; 10], &[2, 0, OWNER, 1, 0, 0, 0, 0, 0, 0]).read();
    assert_eq!(reading.unwrap().at_fork, State::Free);
}

#[test]
fn a_mutex_without_its_inherited_page_has_an_unknown_past() {
    let mut case = Case::new(MUTEX, 2, &[], &[2, 0, OWNER, 1, 0, 0, 0, 0, 0, 0]);
    case.at_fork = None;
    let reading = case.read().unwrap();
    assert_eq!((reading.at_fork, reading.now), (State::Unknown, held(OWNER)));
    assert_eq!(reading.value_at_fork, None);
}

#[test]
fn a_locked_word_alone_is_no_mutex() {
    let good = [2, 0, OWNER, 1, 0, 0, 0, 0, 0, 0];
    let others: [(&str, [u32; 10]); 5] = [
        ("no owner: an internal lock of glibc", [2, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("an owner larger than any tid", [2, 0, 0x7000_0000, 1, 0, 0, 0, 0, 0, 0]),
        ("no users", [2, 0, OWNER, 0, 0, 0, 0, 0, 0, 0]),
        ("a robust mutex", [2, 0, OWNER, 1, 16, 0, 0, 0, 0, 0]),
        ("a priority-inheriting mutex", [2, 0, OWNER, 1, 32, 0, 0, 0, 0, 0]),
    ];
    for (what, words) in others {
        assert_eq!(Case::new(MUTEX, 2, &words, &words).read(), None, "{what}");
    }
    let mut other_wait = Case::new(MUTEX, 1, &good, &good);
    assert_eq!(other_wait.read(), None, "another expected value");
    other_wait = Case::new(137, 2, &good, &[2, 0, OWNER, 1, 7, 7, 7, 7, 7, 7]);
    assert_eq!(other_wait.read(), None, "WAIT_BITSET: Rust's mutex");
    let kind_changed = Case::new(MUTEX, 2, &good, &[2, 0, OWNER, 1, 1, 0, 0, 0, 0, 0]);
    assert_eq!(kind_changed.read(), None, "another object lies there now");
}

#[test]
fn a_semaphore_in_a_heap_block_in_use_was_held() {
    let reading = Case::new(SEM, 0, &[0, 0, 0, 0], &[0, 1, 0, 0]).read().unwrap();
    assert_eq!(reading.at_fork, State::Held { owner: None });
    assert_eq!((reading.value_at_fork, reading.value), (Some(0), 0));
    assert!(reading.anyone_may_release);
    let several = Case::new(SEM, 0, &[0, 1, 0, 0], &[0, 3, 0, 0]).read().unwrap();
    assert_eq!(several.at_fork, State::Held { owner: None }, "others waited at the fork");
}

#[test]
fn zeros_that_need_not_have_been_a_semaphore_are_not_proven() {
    let then = [0, 0, 0, 0];
    let now = [0, 1, 0, 0];
    let mut cases = Vec::new();
    let mut case = Case::new(SEM, 0, &then, &now);
    case.path = "/usr/lib/libx.so";
    cases.push(("static memory", case));
    let mut case = Case::new(SEM, 0, &then, &now);
    case.at_fork = Some(window(0x31, &then));
    cases.push(("another block at the fork", case));
    let mut case = Case::new(SEM, 0, &then, &now);
    case.at_fork = Some(window(0, &then));
    cases.push(("no block at the fork", case));
    for (what, case) in cases {
        assert_eq!(case.read().unwrap().at_fork, State::HeldUnproven, "{what}");
    }
}

#[test]
fn a_semaphore_that_was_free_or_something_else_is_not_held() {
    let free = Case::new(SEM, 0, &[1, 0, 0, 0], &[0, 1, 0, 0]).read().unwrap();
    assert_eq!(free.at_fork, State::Free);
    let recycled = Case::new(SEM, 0, &[0, 0, 0x1234, 0x5678], &[0, 1, 0, 0]).read().unwrap();
    assert_eq!(recycled.at_fork, State::Unknown);
    assert_eq!(Case::new(SEM, 0, &[0; 4], &[0, 0, 0, 0]).read(), None, "nobody waits");
    assert_eq!(Case::new(SEM, 0, &[0; 4], &[0, 1, 9, 9]).read(), None, "no semaphore");
    assert_eq!(Case::new(137, 0, &[0; 4], &[0, 1, 0, 0]).read(), None, "another clock");
}

#[test]
fn an_rwlock_held_for_writing_names_the_writer_to_readers_and_writers() {
    let then = [3, 0, 1, 1, 0, 0, OWNER, 0, 0, 0];
    let waiters = [
        (BASE + 8, [0xb, 0, 3, 1, 0, 0, OWNER, 0, 0, 0]),
        (BASE + 12, [3, 0, 1, 3, 0, 0, OWNER, 0, 0, 0]),
    ];
    for (uaddr, now) in waiters {
        let mut case = Case::new(RWLOCK, 3, &then, &now);
        case.uaddr = uaddr;
        let reading = case.read().unwrap();
        assert_eq!(reading.kind, "glibc rwlock held for writing");
        assert_eq!((reading.at_fork, reading.now), (held(OWNER), held(OWNER)));
        assert_eq!(reading.address, BASE);
    }
}

#[test]
fn an_rwlock_held_for_reading_has_no_owner() {
    let mut case =
        Case::new(RWLOCK, 2, &[8, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[0xa, 0, 2, 1, 0, 0, 0, 0, 0, 0]);
    case.uaddr = BASE + 8;
    let reading = case.read().unwrap();
    assert_eq!(reading.kind, "glibc rwlock held for reading");
    assert_eq!(reading.at_fork, State::Held { owner: None });
    case.at_fork = Some(window(0x41, &[1, 0, 1, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(case.read().unwrap().at_fork, State::Free, "as a writer leaves it");
    case.now = window(0x41, &[0xa, 0, 2, 1, 0, 0, OWNER, 0, 0, 0]);
    assert_eq!(case.read(), None, "a writer in the read phase");
}

#[test]
fn cut_windows_and_extreme_addresses_are_read_without_harm() {
    for len in 0..64 {
        for uaddr in [0, 3, BASE, BASE + 8, u64::MAX - 3, u64::MAX] {
            for (op, val) in [(MUTEX, 2), (SEM, 0), (RWLOCK, 3), (RWLOCK, 2), (0, 0)] {
                let bytes = Window { address: uaddr, bytes: vec![1; len] };
                let case =
                    Case { op, val, uaddr, path: "", at_fork: Some(bytes.clone()), now: bytes };
                let _ = case.read();
            }
        }
    }
}

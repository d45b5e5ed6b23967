//! Locks and events that the code which waits for them tells apart.

use super::{Case, LOCK, WAIT, WAIT_BITSET, survives_truncation};
use crate::{
    event::{FirstWrite, Waiter},
    locks::{Language, State, depends_on_code, read_event},
};

const GLIB: &str = "/usr/lib/x86_64-linux-gnu/libglib-2.0.so.0.7400.6";
const LIBC: &str = "/usr/lib/x86_64-linux-gnu/libc.so.6";
const TBB: &str = "/usr/lib/x86_64-linux-gnu/libtbb.so.12.8";
const PROGRAM: &str = "/srv/app";

/// A word that was 1 at the fork and is 2, in a block that has not changed.
fn contended() -> Case {
    Case::new(0, WAIT, 2, "21000000000000000100000000000000", "21000000000000000200000000000000")
}

/// The stack of `g_mutex_lock`, GLib 2.74 without debug information: its slow path is static, and was
/// jumped to.
fn in_g_mutex_lock(case: Case) -> Case {
    case.called_by(&[(LIBC, Some("syscall")), (GLIB, None), (PROGRAM, Some("main"))])
}

#[test]
fn gmutexes_by_where_they_are_waited_for() {
    let reading = in_g_mutex_lock(contended()).read().unwrap();
    assert_eq!((reading.family.id, reading.address), ("glib-mutex", LOCK));
    assert_eq!(reading.at_fork, State::Held { owner: None });
    assert!(!reading.family.anyone_may_release && !reading.family.may_be_event);
    let static_glib = contended().called_by(&[
        (PROGRAM, Some("syscall")),
        (PROGRAM, Some("g_mutex_lock_slowpath")),
        (PROGRAM, Some("main")),
    ]);
    assert_eq!(static_glib.read().unwrap().family.id, "glib-mutex");
    survives_truncation(&in_g_mutex_lock(contended()));
}

#[test]
fn gmutexes_by_who_wrote_first() {
    let wrote = |function: &str, address, tid| {
        let mut case = contended();
        case.first_write = Some(FirstWrite {
            tid,
            address,
            module: Some(GLIB.into()),
            function: Some(function.into()),
            ..FirstWrite::default()
        });
        case.waiters = vec![Waiter { tid: 7, ..Waiter::default() }];
        case
    };
    assert_eq!(wrote("g_mutex_lock", LOCK, 7).read().unwrap().family.id, "glib-mutex");
    assert_eq!(wrote("g_mutex_unlock", LOCK, 7).read(), None);
    assert_eq!(wrote("g_mutex_lock", LOCK + 4, 7).read(), None, "another word of the page");
    assert_eq!(wrote("g_mutex_lock", LOCK, 8).read(), None, "a thread that does not wait");
}

#[test]
fn the_same_word_elsewhere_is_no_gmutex() {
    assert_eq!(contended().read(), None, "the code is not known");
    let libraries = [(LIBC, Some("syscall")), (TBB, None), (PROGRAM, Some("main"))];
    let elsewhere = contended().called_by(&libraries);
    assert_eq!(elsewhere.read(), None);
    let event = read_event(&elsewhere.scene()).unwrap();
    assert_eq!(event.family.id, "tbb-semaphore", "which anybody may post");
    let called_glib = [(LIBC, Some("syscall")), (PROGRAM, Some("wait_for_it")), (GLIB, None)];
    assert_eq!(contended().called_by(&called_glib).read(), None);
    assert_eq!(contended().called_by(&[]).read(), None, "no frame could be read");
    let cond = [(LIBC, Some("syscall")), (GLIB, None), (GLIB, Some("g_cond_wait"))];
    let cond = contended().called_by(&cond);
    assert_eq!(cond.read(), None, "a counter that is 2");
    assert_eq!(read_event(&cond.scene()).unwrap().family.id, "glib-cond");
    for (op, val) in [(WAIT_BITSET, 2), (0, 2), (WAIT, 1)] {
        let mut other = in_g_mutex_lock(contended());
        (other.wait.op, other.wait.val) = (op, val);
        assert_eq!(other.read(), None, "op {op:#x}, {val}");
    }
}

#[test]
fn what_a_gmutex_was_at_the_fork() {
    let state = |case: Case| in_g_mutex_lock(case).read().unwrap().at_fork;
    assert_eq!(state(contended().with_inherited(0, 0)), State::Free);
    assert_eq!(state(contended().with_inherited(0, 3)), State::Free, "no mutex then");
    assert_eq!(state(contended().with_inherited(0, 2)), State::Held { owner: None });
    let used_again = contended().with_inherited(-8, 0x41);
    assert_eq!(state(used_again.clone()), State::Unknown, "another block then");
    let mut in_a_file = used_again;
    in_a_file.module = Some(PROGRAM);
    assert_eq!(state(in_a_file), State::Held { owner: None });
    let mut unseen = contended();
    unseen.at_fork = None;
    assert_eq!(state(unseen), State::Unknown);
}

#[test]
fn a_stack_is_read_only_where_it_would_tell() {
    assert!(depends_on_code(&contended().scene()));
    assert!(!depends_on_code(&in_g_mutex_lock(contended()).scene()), "it was read");
    let mut counter = contended().with(0, 3);
    counter.wait.val = 3;
    assert!(!depends_on_code(&counter.scene()));
    let mut static_lock = contended();
    static_lock.module = Some(LIBC);
    assert!(!depends_on_code(&static_lock.scene()), "it is known by where it is");
}

#[test]
fn go_and_glibc_by_their_functions() {
    let go = contended().called_by(&[
        (PROGRAM, Some("runtime.futex")),
        (PROGRAM, Some("runtime.futexsleep")),
        (PROGRAM, Some("runtime.lock2")),
    ]);
    let reading = go.read().unwrap();
    assert_eq!(
        (reading.family.id, reading.family.language),
        ("go-runtime-mutex", Some(Language::Go))
    );
    let arena = contended().called_by(&[(LIBC, Some("__lll_lock_wait_private")), (LIBC, None)]);
    assert_eq!(arena.read().unwrap().family.id, "glibc-internal");
    let note = Case::new(
        0,
        WAIT,
        0,
        "21000000000000000000000000000000",
        "21000000000000000000000000000000",
    );
    let note = note.called_by(&[
        (PROGRAM, Some("runtime.futex.abi0")),
        (PROGRAM, Some("runtime.futexsleep")),
        (PROGRAM, Some("runtime.notesleep")),
    ]);
    assert_eq!(note.read(), None);
    assert_eq!(read_event(&note.scene()).unwrap().family.id, "go-runtime-note");
}

#[test]
fn a_bit_lock_that_is_what_it_was_was_held() {
    let lock = |then: u32, symbol| {
        let case = Case::new(
            0,
            WAIT,
            0x8001,
            "21000000000000000180000000000000",
            "21000000000000000180000000000000",
        );
        let case = case.with_inherited(0, then);
        case.called_by(&[(LIBC, Some("syscall")), (GLIB, None), (GLIB, Some(symbol))])
    };
    for symbol in ["g_bit_lock", "g_pointer_bit_lock"] {
        let reading = lock(0x8001, symbol).read().unwrap();
        assert_eq!(reading.family.id, "glib-bit-lock");
        assert_eq!(reading.at_fork, State::Held { owner: None });
    }
    let at_fork = |then| lock(then, "g_bit_lock").read().unwrap().at_fork;
    assert_eq!(at_fork(0x8000), State::Unknown, "which bit is the lock's is not known");
    assert_eq!(at_fork(0), State::Free);
    assert_eq!(lock(0x8001, "g_cond_wait").read(), None);
}

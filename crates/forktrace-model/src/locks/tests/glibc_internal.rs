use super::{Case, WAIT, survives_truncation};
use crate::{
    event::Libc,
    locks::{Identity, Meaning, State, Word},
};

/// `tzset_lock`, held by a thread that reads a zone file.
fn zone() -> Case {
    let mut case = Case::new(
        0,
        WAIT,
        2,
        "00000000000000000100000000000000",
        "00000000000000000200000000000000",
    );
    case.module = Some("/usr/lib/x86_64-linux-gnu/libc.so.6");
    case.libc = Some(Libc::Glibc);
    case
}

#[test]
fn a_word_in_glibcs_own_data_is_a_lock_of_its() {
    let reading = zone().read().unwrap();
    assert_eq!(reading.family.name, "glibc internal lock");
    assert_eq!(reading.at_fork, State::Held { owner: None });
    assert_eq!(reading.value_at_fork, Some(1));
    assert_eq!(reading.word.inherited, Some(Word::new(1_u32, Meaning::Locked)));
    assert_eq!(reading.word.identity, Some(Identity::GlibcData));
    survives_truncation(&zone());
    for older in ["/lib/libc-2.31.so", "/lib/ld-2.31.so", "/lib/libpthread-2.31.so"] {
        let mut case = zone();
        case.module = Some(older);
        assert!(case.read().is_some(), "{older}");
    }
}

#[test]
fn what_it_was_at_the_fork() {
    assert_eq!(zone().with_inherited(0, 0).read().unwrap().at_fork, State::Free);
    let contended = zone().with_inherited(0, 2).read().unwrap();
    assert_eq!(contended.at_fork, State::Held { owner: None });
    assert_eq!(zone().with_inherited(0, 3).read(), None, "no lock's word");
    let mut unknown = zone();
    unknown.at_fork = None;
    let reading = unknown.read().unwrap();
    assert_eq!(reading.at_fork, State::Unknown);
    assert_eq!((reading.word.inherited, reading.word.identity), (None, None));
}

#[test]
fn elsewhere_such_a_word_is_not_guessed_at() {
    let mut case = zone();
    for module in [None, Some("/usr/bin/program"), Some("/usr/lib/libcrypto.so.3"), Some("")] {
        case.module = module;
        assert_eq!(case.read(), None, "{module:?}");
    }
    let mut musl = zone();
    musl.libc = Some(Libc::Musl);
    assert_eq!(musl.read(), None);
    for (op, val) in [(0, 2), (0x189, 2), (WAIT, 1)] {
        let mut other = zone();
        (other.wait.op, other.wait.val) = (op, val);
        assert_eq!(other.read(), None, "op {op:#x}, val {val}");
    }
}

#[test]
fn a_mutex_of_the_loader_stays_a_mutex() {
    let mut case = Case::new(
        0,
        WAIT,
        2,
        "51000000000000000100000001000000fd13000001000000010000000000000000000000000000000000000000000000",
        "51000000000000000200000001000000fd13000001000000010000000000000000000000000000000000000000000000",
    );
    case.module = Some("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
    assert_eq!(case.read().unwrap().family.name, "glibc mutex (recursive)");
}

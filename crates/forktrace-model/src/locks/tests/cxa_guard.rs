use super::{Case, WAIT, survives_truncation};
use crate::locks::{Meaning, State, Word};

/// A static variable whose constructor runs in a thread of the parent.
fn guard() -> Case {
    Case::new(
        0,
        0,
        0x1_0100,
        "00000000000000000001000000000000",
        "00000000000000000001010000000000",
    )
}

#[test]
fn a_variable_that_was_being_initialised() {
    let reading = guard().read().unwrap();
    assert_eq!(reading.family.name, "C++ static initialisation guard");
    assert_eq!(reading.at_fork, State::Held { owner: None });
    assert_eq!((reading.value_at_fork, reading.value), (Some(0x100), 0x1_0100));
    assert_eq!(reading.word.inherited, Some(Word::new(0x100_u32, Meaning::BeingInitialised)));
    survives_truncation(&guard());
    let awaited = guard().with_inherited(0, 0x1_0100).read().unwrap();
    assert_eq!(awaited.at_fork, State::Held { owner: None });
}

#[test]
fn one_that_the_child_began_to_initialise() {
    for word in [0, 1] {
        assert_eq!(guard().with_inherited(0, word).read().unwrap().at_fork, State::Free);
    }
    let mut unknown = guard();
    unknown.at_fork = None;
    assert_eq!(unknown.read().unwrap().at_fork, State::Unknown);
}

#[test]
fn other_words_are_no_guards() {
    assert_eq!(guard().with(4, 1).read(), None, "the second half is not used");
    assert_eq!(guard().with(0, 0x101).read(), None);
    for (op, val) in [(WAIT, 0x1_0100), (0x109, 0x1_0100), (0, 0x100)] {
        let mut other = guard();
        (other.wait.op, other.wait.val) = (op, val);
        assert_eq!(other.read(), None, "op {op:#x}, val {val:#x}");
    }
}

use super::detail;
use forktrace_model::locks::{Base, Identity, Meaning, Part, Thing, Word, WordFact};

/// A word of these values that nobody knows at the fork.
fn now(part: Part, base: Base, value: u64, meaning: Meaning) -> WordFact {
    WordFact::now(part, base, Word::new(value, meaning))
}

/// The same with the values as inherited.
fn then(part: Part, base: Base, value: u64, meaning: Meaning) -> WordFact {
    now(part, base, value + 1, Meaning::LockedWithWaiters)
        .inherited(Some(Word::new(value, meaning)))
}

#[test]
fn what_the_word_was_or_is() {
    use Base::{Decimal, Hex};
    use Part::{Byte, State, Word as W};
    let mutex = |fact: WordFact| WordFact {
        inherited: fact.inherited.map(|word| Word { owner: Some(4207), ..word }),
        now: Word { owner: Some(4207), ..fact.now },
        ..fact
    };
    let facts = [
        (then(W, Hex, 16, Meaning::Locked), "word was 0x10 (locked) in the page as inherited"),
        (now(Byte, Decimal, 3, Meaning::Held), "byte is 3 (held) now"),
        (
            mutex(then(W, Decimal, 1, Meaning::Locked)),
            "word was 1 (locked) and owner 4207 in the page as inherited",
        ),
        (
            mutex(now(W, Decimal, 2, Meaning::LockedWithWaiters)),
            "word is 2 (locked, with waiters) and owner 4207 now",
        ),
        (
            then(State, Hex, 3, Meaning::HeldForWriting { by: Some(4207) }),
            "state was 0x3 (held for writing by 4207) in the page as inherited",
        ),
        (
            now(W, Hex, 7, Meaning::Locked).inherited(Some(Word::bare(8_u32))),
            "word was 0x8 in the page as inherited",
        ),
    ];
    for (fact, said) in facts {
        assert_eq!(detail(&fact), said);
    }
}

#[test]
fn each_meaning() {
    let meanings = [
        (Meaning::Free, "free"),
        (Meaning::Held, "held"),
        (Meaning::HeldOrUnused, "held or unused"),
        (Meaning::LockedBy(4207), "locked by 4207"),
        (Meaning::HeldForWriting { by: None }, "held for writing"),
        (Meaning::HeldByReaders(1), "held by 1 reader"),
        (Meaning::HeldByReaders(3), "held by 3 readers"),
        (Meaning::BeingInitialised, "being initialised"),
        (Meaning::NotBeingInitialised, "not being initialised"),
        (Meaning::NotInitialised, "not initialised"),
        (Meaning::Complete, "complete"),
        (Meaning::Poisoned, "poisoned"),
        (Meaning::Running, "running"),
        (Meaning::NotRunning, "not running"),
        (Meaning::BeingRun, "being run"),
        (Meaning::NotOf(Thing::Mutex), "not a mutex"),
        (Meaning::NotOf(Thing::RwLock), "not a lock"),
        (Meaning::NotOf(Thing::Once), "not an initialisation"),
    ];
    for (meaning, said) in meanings {
        let fact = now(Part::Word, Base::Decimal, 7, meaning);
        assert_eq!(detail(&fact), format!("word is 7 ({said}) now"));
    }
}

#[test]
fn what_says_that_it_was_this_lock() {
    let identities = [
        (Identity::GlibcData, ", in glibc's own data"),
        (
            Identity::SameBlock { bytes: 48 },
            ", in a heap block of 48 bytes that has not changed since",
        ),
        (Identity::BlockGone, ", in a heap block that no longer exists"),
        (Identity::SameObject { owner: None }, ", in a living object of the same type as now"),
        (
            Identity::SameObject { owner: Some(4207) },
            ", in a living object of the same type as now, with owner 4207",
        ),
        (Identity::SameNeighbours, ", with the same bytes beside it as now"),
        (
            Identity::Unproven(Thing::ThisLock),
            ", but nothing proves that it was a word of this lock at the fork",
        ),
        (Identity::Unproven(Thing::Lock), ", but nothing proves that it was a lock at the fork"),
        (
            Identity::Unproven(Thing::Semaphore),
            ", but nothing proves that it was a semaphore at the fork",
        ),
    ];
    for (identity, said) in identities {
        let fact = then(Part::Word, Base::Decimal, 0, Meaning::Held).identity(Some(identity));
        assert_eq!(detail(&fact), format!("word was 0 (held) in the page as inherited{said}"));
    }
}

#[test]
fn the_word_of_an_event_by_what_became_of_it() {
    let event = WordFact::now(Part::Word, Base::Hex, Word::bare(4_u32));
    assert_eq!(detail(&event), "word is 0x4 now");
    let same = event.clone().inherited(Some(Word::bare(4_u32)));
    assert_eq!(detail(&same), "word was 0x4 in the page as inherited and still is");
    let other = event.inherited(Some(Word::bare(3_u32)));
    assert_eq!(detail(&other), "word was 0x3 in the page as inherited, and is 0x4");
}

#[test]
fn a_hold_that_something_else_proved() {
    let unproven = then(Part::Word, Base::Decimal, 0, Meaning::HeldOrUnused)
        .identity(Some(Identity::Unproven(Thing::Semaphore)));
    let proven = [
        (Identity::PostedByForker, ", and the parent posted it after the fork"),
        (Identity::HeldAcrossFork, ""),
    ];
    for (identity, said) in proven {
        let said = format!("word was 0 (held) in the page as inherited{said}");
        assert_eq!(detail(&unproven.proven_held(identity)), said);
    }
    let event = WordFact::now(Part::Word, Base::Hex, Word::bare(16_u32))
        .inherited(Some(Word::bare(16_u32)));
    let held = event.proven_held(Identity::HeldAcrossFork);
    assert_eq!(detail(&held), "word was 16 (held) in the page as inherited");
}

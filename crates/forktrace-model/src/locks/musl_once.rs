//! musl's `pthread_once_t` while its function runs.
//!
//! Facts, read at musl 1.2.3 and the same in 1.2.5 (`src/thread/pthread_once.c`, `__wait.c`): 0
//! nobody came yet, 1 the function runs, 2 it has run, 3 it runs and somebody waits, with
//! `FUTEX_WAIT` and the private op for as long as the word is 3. Who runs it is not noted. (glibc
//! notices the fork, and the child runs the function again: `nptl/pthread_once.c`.)
//!
//! A word of 3 says little by itself, so that the program must be known to run on musl: a static
//! program is not recognised.

use forktrace_common::futex::FUTEX_WAIT;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, Word, WordFact,
    family::FamilyRemedy,
};

/// The function runs.
const RUNNING: u32 = 1;
/// It runs, and somebody waits.
const AWAITED: u32 = 3;

pub(super) static ONCE: LockFamily = LockFamily {
    remedy: FamilyRemedy::Once,
    ..LockFamily::new("musl-once", "musl pthread_once", Language::C)
};

/// Recognises functions that are run once.
pub(super) struct MuslOnce;

impl Decoder for MuslOnce {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        let waits = wait.command() == FUTEX_WAIT && wait.is_private();
        if !waits || wait.val != u64::from(AWAITED) || !scene.on_musl() {
            return None;
        }
        let now = scene.now.word(wait.uaddr).filter(|word| *word == AWAITED)?;
        let then = scene.at_fork.and_then(|window| window.word(wait.uaddr));
        let (at_fork, meaning) = match then {
            Some(RUNNING | AWAITED) => (State::Held { owner: None }, Meaning::Running),
            Some(0 | 2) => (State::Free, Meaning::NotRunning),
            Some(_) => return None,
            None => (State::Unknown, Meaning::Running),
        };
        Some(Reading {
            family: &ONCE,
            address: wait.uaddr,
            at_fork,
            now: State::Held { owner: None },
            value_at_fork: then,
            value: now,
            word: WordFact::now(Part::Word, Base::Decimal, Word::new(now, Meaning::Running))
                .inherited(then.map(|word| Word::new(word, meaning))),
        })
    }
}

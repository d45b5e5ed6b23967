//! The guard of a static local variable of C++ that is being initialised (`__cxa_guard_acquire`).
//!
//! Facts, read at GCC 12 (`libstdc++-v3/libsupc++/guard.cc`, `config/cpu/generic/cxxabi_tweaks.h`):
//! the guard is 64 bits, of which the first 32 are used: bit 0 initialised, bit 8 being
//! initialised, bit 16 somebody waits; waiters wait with `FUTEX_WAIT` and the shared op for as long
//! as the word is 0x10100. In a process that never had a second thread the function throws
//! instead. Who initialises is not noted.

use forktrace_common::futex::FUTEX_WAIT;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, Word, WordFact,
    family::FamilyRemedy,
};

/// `_GLIBCXX_GUARD_PENDING_BIT`.
const PENDING: u32 = 0x100;
/// `_GLIBCXX_GUARD_WAITING_BIT`, with the one before it.
const AWAITED: u32 = 0x1_0100;

pub(super) static GUARD: LockFamily = LockFamily {
    remedy: FamilyRemedy::Once,
    ..LockFamily::new("cxx-static-guard", "C++ static initialisation guard", Language::Cxx)
};

/// Recognises guards.
pub(super) struct CxaGuard;

impl Decoder for CxaGuard {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        let shared_op = wait.command() == FUTEX_WAIT && !wait.is_private();
        if !shared_op || wait.val != u64::from(AWAITED) || !wait.uaddr.is_multiple_of(8) {
            return None;
        }
        if scene.now.long(wait.uaddr)? != u64::from(AWAITED) {
            return None;
        }
        let then = scene.at_fork.and_then(|window| window.word(wait.uaddr));
        let (at_fork, meaning) = match then {
            Some(PENDING | AWAITED) => (State::Held { owner: None }, Meaning::BeingInitialised),
            Some(_) => (State::Free, Meaning::NotBeingInitialised),
            None => (State::Unknown, Meaning::BeingInitialised),
        };
        let now = Word::new(AWAITED, Meaning::BeingInitialised);
        Some(Reading {
            family: &GUARD,
            address: wait.uaddr,
            at_fork,
            now: State::Held { owner: None },
            value_at_fork: then,
            value: AWAITED,
            word: WordFact::now(Part::Word, Base::Hex, now)
                .inherited(then.map(|word| Word::new(word, meaning))),
        })
    }
}

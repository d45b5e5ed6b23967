//! GLib's bit locks: `g_bit_lock` and `g_pointer_bit_lock`, one bit of a word that has other uses.
//!
//! `glib/gbitlock.c`, GLib 2.74: a waiter waits with `FUTEX_WAIT` for as long as the word is what it
//! was when the bit was set, and changes nothing. Which bit it is shows nowhere in memory. A word that
//! is now what it was at the fork had the bit then; of another one that is not known.

use forktrace_common::futex::FUTEX_WAIT;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, Word, WordFact,
    neighbours::was_there, unproven,
};

pub(super) static BIT_LOCK: LockFamily =
    LockFamily::new("glib-bit-lock", "GLib bit lock", Language::C);

/// Recognises them by the functions that wait.
pub(super) struct GlibBitLock;

impl Decoder for GlibBitLock {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        let address = wait.uaddr;
        let theirs = wait.command() == FUTEX_WAIT && wait.is_private();
        if !theirs || !scene.code.is_in(&["g_bit_lock", "g_pointer_bit_lock"]) {
            return None;
        }
        let now = scene.now.word(address).filter(|word| u64::from(*word) == wait.val)?;
        if now == 0 {
            return None;
        }
        let then = scene.at_fork.and_then(|window| window.word(address));
        let existed = || {
            let then = scene.at_fork;
            scene.module.is_some()
                || then.is_some_and(|then| was_there(address, scene.mapping, scene.now, then))
        };
        let at_fork = match then {
            Some(0) => State::Free,
            Some(then) if then == now && existed() => State::Held { owner: None },
            _ => State::Unknown,
        };
        let word = |value| match value {
            0 => Word::new(value, Meaning::Free),
            _ if value == now => Word::new(value, Meaning::Locked),
            _ => Word::bare(value),
        };
        Some(Reading {
            family: &BIT_LOCK,
            address,
            at_fork,
            now: State::Held { owner: None },
            value_at_fork: then,
            value: now,
            word: WordFact::now(Part::Word, Base::Hex, word(now))
                .inherited(then.map(word))
                .identity(unproven(at_fork, then.is_some())),
        })
    }
}

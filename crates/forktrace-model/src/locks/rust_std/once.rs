//! `std::sync::Once`, and `OnceLock` and `LazyLock`, which have one inside: a thread runs the
//! initialisation, and others wait for it.
//!
//! `std/src/sys/sync/once/futex.rs`, Rust 1.95: 0 complete, 1 running, 2 poisoned, 3 incomplete;
//! 4 is added when there are waiters. Who waits for one that is running expects 5.

use super::super::{
    Decoder, LockFamily, Meaning, Reading, Scene, State, family::FamilyRemedy, word_fact::Thing,
};

const COMPLETE: u32 = 0;
const RUNNING: u32 = 1;
const POISONED: u32 = 2;
const INCOMPLETE: u32 = 3;
const QUEUED: u32 = 4;

pub(in crate::locks) static ONCE: LockFamily =
    LockFamily { remedy: FamilyRemedy::Once, ..super::family("rust-once", "Rust std Once") };

/// Recognises initialisations that are being run.
pub(in crate::locks) struct RustOnce;

impl Decoder for RustOnce {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        const WAITED_FOR: u32 = RUNNING | QUEUED;
        let address = scene.wait.uaddr;
        if super::expected(scene.wait) != Some(WAITED_FOR)
            || scene.now.word(address) != Some(WAITED_FOR)
        {
            return None;
        }
        let then = scene.at_fork.and_then(|window| window.word(address));
        let at_fork = match then {
            None => State::Unknown,
            Some(then) if then & !QUEUED == RUNNING => {
                super::held(scene, address, then, WAITED_FOR)?
            }
            Some(_) => State::Free,
        };
        Some(Reading {
            family: &ONCE,
            address,
            at_fork,
            now: State::Held { owner: None },
            value_at_fork: then,
            value: WAITED_FOR,
            word: super::word_fact(then, WAITED_FOR, at_fork, meaning),
        })
    }
}

fn meaning(word: u32) -> Meaning {
    match word & !QUEUED {
        COMPLETE => Meaning::Complete,
        RUNNING => Meaning::BeingInitialised,
        POISONED => Meaning::Poisoned,
        INCOMPLETE => Meaning::NotInitialised,
        _ => Meaning::NotOf(Thing::Once),
    }
}

//! `std::sync::Mutex`, and the lock inside of `stdout` (`ReentrantLock`, whose owner is a number
//! that Rust gave to the thread, not the kernel's).
//!
//! `std/src/sys/sync/mutex/futex.rs`, Rust 1.95: 0 is unlocked, 1 locked, 2 locked with waiters. A
//! waiter makes it 2 and expects that.

use super::super::{Decoder, LockFamily, Meaning, Reading, Scene, State, word_fact::Thing};

const UNLOCKED: u32 = 0;
const LOCKED: u32 = 1;
const CONTENDED: u32 = 2;

pub(in crate::locks) static MUTEX: LockFamily = super::family("rust-mutex", "Rust std Mutex");

/// Recognises mutexes.
pub(in crate::locks) struct RustMutex;

impl Decoder for RustMutex {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let address = scene.wait.uaddr;
        if super::expected(scene.wait) != Some(CONTENDED)
            || scene.now.word(address) != Some(CONTENDED)
        {
            return None;
        }
        let then = scene.at_fork.and_then(|window| window.word(address));
        let at_fork = match then {
            None => State::Unknown,
            Some(then @ (LOCKED | CONTENDED)) => super::held(scene, address, then, CONTENDED)?,
            Some(_) => State::Free,
        };
        Some(Reading {
            family: &MUTEX,
            address,
            at_fork,
            now: State::Held { owner: None },
            value_at_fork: then,
            value: CONTENDED,
            word: super::word_fact(then, CONTENDED, at_fork, meaning),
        })
    }
}

fn meaning(word: u32) -> Meaning {
    match word {
        UNLOCKED => Meaning::Free,
        LOCKED => Meaning::Locked,
        CONTENDED => Meaning::LockedWithWaiters,
        _ => Meaning::NotOf(Thing::Mutex),
    }
}

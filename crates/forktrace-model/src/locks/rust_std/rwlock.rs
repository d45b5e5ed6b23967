//! `std::sync::RwLock`.
//!
//! `std/src/sys/sync/rwlock/futex.rs`, Rust 1.95: a word of state, whose low 30 bits count the
//! readers or are all set for a writer, with a bit for waiting readers and one for waiting writers;
//! then a word that counts wakes of writers. A reader waits on the state and expects it as it is
//! with the readers' bit; a writer waits on the counter and expects what it is.

use super::super::{Decoder, LockFamily, Meaning, Reading, Scene, State, TID_LIMIT};

/// `MASK` and `WRITE_LOCKED`.
const WRITE_LOCKED: u32 = (1 << 30) - 1;
const READERS_WAITING: u32 = 1 << 30;
const WRITERS_WAITING: u32 = 1 << 31;

/// `writer_notify`, from the state.
const WRITER_NOTIFY: u64 = 4;

pub(in crate::locks) static FOR_WRITING: LockFamily =
    super::family("rust-rwlock-writing", "Rust std RwLock (held for writing)");
pub(in crate::locks) static FOR_READING: LockFamily =
    super::family("rust-rwlock-reading", "Rust std RwLock (held for reading)");

/// Recognises read-write locks.
pub(in crate::locks) struct RustRwLock;

impl Decoder for RustRwLock {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let (address, now) = waited_for(scene)?;
        let hold = Hold::of(now)?;
        let then = scene.at_fork.and_then(|window| window.word(address));
        const HELD: State = State::Held { owner: None };
        let (at_fork, since) = match then.map(Hold::of) {
            None => (State::Unknown, HELD),
            Some(None) => (State::Free, HELD),
            Some(Some(was)) if was == hold => (super::held(scene, address, then?, now)?, HELD),
            // Held otherwise: that hold is over.
            Some(Some(_)) => (HELD, State::Free),
        };
        // What a thread that parks expects, too: only an inherited hold tells it from that.
        let parks = scene.wait.uaddr == address && now == u32::MAX;
        if parks && (at_fork, since) != (HELD, HELD) {
            return None;
        }
        Some(Reading {
            family: hold.family(),
            address,
            at_fork,
            now: since,
            value_at_fork: then,
            value: now,
            word: super::word_fact(then, now, at_fork, meaning),
        })
    }
}

/// The lock that is waited for: its address, and its state now.
fn waited_for(scene: &Scene<'_>) -> Option<(u64, u32)> {
    let expected = super::expected(scene.wait)?;
    let uaddr = scene.wait.uaddr;
    if expected & READERS_WAITING != 0 && scene.now.word(uaddr) == Some(expected) {
        // A reader waits only behind a writer, or behind one who waits.
        let behind_writer = expected & WRITERS_WAITING != 0 || is_write_locked(expected);
        if behind_writer && Hold::of(expected).is_some() {
            return Some((uaddr, expected));
        }
    }
    if scene.now.word(uaddr) != Some(expected) {
        return None;
    }
    let address = uaddr.checked_sub(WRITER_NOTIFY)?;
    let state = scene.now.word(address)?;
    (state & WRITERS_WAITING != 0 && Hold::of(state).is_some()).then_some((address, state))
}

fn is_write_locked(state: u32) -> bool {
    state & WRITE_LOCKED == WRITE_LOCKED
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Writing,
    Reading,
}

impl Hold {
    /// `None`: it is not held, or has more readers than there can be threads.
    fn of(state: u32) -> Option<Self> {
        match state & WRITE_LOCKED {
            WRITE_LOCKED => Some(Hold::Writing),
            1..TID_LIMIT => Some(Hold::Reading),
            _ => None,
        }
    }

    fn family(self) -> &'static LockFamily {
        match self {
            Hold::Writing => &FOR_WRITING,
            Hold::Reading => &FOR_READING,
        }
    }
}

fn meaning(state: u32) -> Meaning {
    match Hold::of(state) {
        None => Meaning::Free,
        Some(Hold::Writing) => Meaning::HeldForWriting { by: None },
        Some(Hold::Reading) => Meaning::HeldByReaders(state & WRITE_LOCKED),
    }
}

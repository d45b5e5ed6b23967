//! musl's `pthread_rwlock_t` on 64-bit machines.
//!
//! Facts, read at musl 1.2.3 and the same in 1.2.5: `_rw_lock`, `_rw_waiters`, `_rw_shared` and
//! then eleven words that nobody writes (`src/internal/pthread_impl.h`); the word counts readers,
//! or is 0x7fffffff for a writer; a waiter counts itself, sets the word's highest bit and waits
//! with `FUTEX_WAIT` for as long as the word is that; readers wait for writers alone
//! (`src/thread/pthread_rwlock_timedrdlock.c`, `pthread_rwlock_timedwrlock.c`). Nobody is named.

use forktrace_common::futex::FUTEX_WAIT;

use super::{Decoder, Reading, Scene, State, TID_LIMIT, detail};
use crate::event::Window;

const WAITERS: u64 = 4;
const SHARED: u64 = 8;
/// The words that are never written, as offsets of 64-bit words.
const UNUSED: [u64; 5] = [16, 24, 32, 40, 48];
/// The one before them, 32 bits.
const UNUSED_WORD: u64 = 12;

const WRITER: u32 = 0x7fff_ffff;
const AWAITED: u32 = 0x8000_0000;

/// Recognises read-write locks.
pub(super) struct MuslRwlock;

impl Decoder for MuslRwlock {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        if wait.command() != FUTEX_WAIT || !wait.uaddr.is_multiple_of(8) || scene.on_glibc() {
            return None;
        }
        let now = Fields::at(scene.now, wait.uaddr).filter(|now| now.blank)?;
        let shared = if wait.is_private() { 0 } else { 128 };
        let awaited = now.lock & AWAITED != 0 && (1..TID_LIMIT).contains(&now.waiters);
        if !awaited || wait.val != u64::from(now.lock) || now.shared != shared {
            return None;
        }
        let kind = match now.hold()? {
            Hold::Writing => "musl rwlock (held for writing)",
            Hold::Reading => "musl rwlock (held for reading)",
        };
        let then = scene.at_fork.and_then(|window| Fields::at(window, wait.uaddr));
        Some(Reading {
            kind,
            address: wait.uaddr,
            at_fork: then.map_or(State::Unknown, |then| then.inherited_as(&now)),
            now: State::Held { owner: None },
            value_at_fork: then.map(|then| then.lock),
            value: now.lock,
            anyone_may_release: false,
            detail: detail("word", &now, then.as_ref(), Fields::meaning),
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Writing,
    Reading,
}

#[derive(Clone, Copy, Debug)]
struct Fields {
    lock: u32,
    waiters: u32,
    shared: u32,
    /// Whether the words that are never written are zero.
    blank: bool,
}

impl Fields {
    fn at(window: &Window, address: u64) -> Option<Self> {
        let word = |offset: u64| window.word(address.checked_add(offset)?);
        let mut blank = word(UNUSED_WORD)? == 0;
        for offset in UNUSED {
            blank &= window.long(address.checked_add(offset)?)? == 0;
        }
        Some(Fields { lock: word(0)?, waiters: word(WAITERS)?, shared: word(SHARED)?, blank })
    }

    fn hold(&self) -> Option<Hold> {
        match self.lock & !AWAITED {
            WRITER => Some(Hold::Writing),
            readers if (1..TID_LIMIT).contains(&readers) => Some(Hold::Reading),
            _ => None,
        }
    }

    /// What these words, as inherited, say of the lock that is `now` waited for.
    fn inherited_as(&self, now: &Fields) -> State {
        match self.hold() {
            None if self.lock & !AWAITED == 0 => State::Free,
            hold if hold == now.hold() && self.blank && self.shared == now.shared => {
                State::Held { owner: None }
            }
            _ => State::HeldUnproven,
        }
    }

    fn meaning(&self) -> String {
        let state = match (self.hold(), self.lock & !AWAITED) {
            (Some(Hold::Writing), _) => "held for writing".into(),
            (Some(Hold::Reading), 1) => "held by 1 reader".into(),
            (Some(Hold::Reading), readers) => format!("held by {readers} readers"),
            (None, 0) => "free".into(),
            (None, _) => "no lock".to_owned(),
        };
        format!("{:#x} ({state})", self.lock)
    }
}

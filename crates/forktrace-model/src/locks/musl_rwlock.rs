//! musl's `pthread_rwlock_t` on 64-bit machines.
//!
//! Facts, read at musl 1.2.3 and the same in 1.2.5: `_rw_lock`, `_rw_waiters`, `_rw_shared` and
//! then eleven words that nobody writes (`src/internal/pthread_impl.h`); the word counts readers,
//! or is 0x7fffffff for a writer; a waiter counts itself, sets the word's highest bit and waits
//! with `FUTEX_WAIT` for as long as the word is that; readers wait for writers alone
//! (`src/thread/pthread_rwlock_timedrdlock.c`, `pthread_rwlock_timedwrlock.c`). Nobody is named.

use forktrace_common::futex::FUTEX_WAIT;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, TID_LIMIT, Word,
    WordFact, word_fact::Thing,
};
use crate::event::Window;

const WAITERS: u64 = 4;
const SHARED: u64 = 8;
/// The words that are never written, as offsets of 64-bit words.
const UNUSED: [u64; 5] = [16, 24, 32, 40, 48];
/// The one before them, 32 bits.
const UNUSED_WORD: u64 = 12;

const WRITER: u32 = 0x7fff_ffff;
const AWAITED: u32 = 0x8000_0000;

pub(super) static FOR_WRITING: LockFamily =
    LockFamily::new("musl-rwlock-writing", "musl rwlock (held for writing)", Language::C);
pub(super) static FOR_READING: LockFamily =
    LockFamily::new("musl-rwlock-reading", "musl rwlock (held for reading)", Language::C);

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
        let family = match now.hold()? {
            Hold::Writing => &FOR_WRITING,
            Hold::Reading => &FOR_READING,
        };
        let then = scene.at_fork.and_then(|window| Fields::at(window, wait.uaddr));
        Some(Reading {
            family,
            address: wait.uaddr,
            at_fork: then.map_or(State::Unknown, |then| then.inherited_as(&now)),
            now: State::Held { owner: None },
            value_at_fork: then.map(|then| then.lock),
            value: now.lock,
            word: WordFact::now(Part::Word, Base::Hex, now.word())
                .inherited(then.as_ref().map(Fields::word)),
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

    fn word(&self) -> Word {
        let meaning = match (self.hold(), self.lock & !AWAITED) {
            (Some(Hold::Writing), _) => Meaning::HeldForWriting { by: None },
            (Some(Hold::Reading), readers) => Meaning::HeldByReaders(readers),
            (None, 0) => Meaning::Free,
            (None, _) => Meaning::NotOf(Thing::RwLock),
        };
        Word::new(self.lock, meaning)
    }
}

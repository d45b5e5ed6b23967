//! musl's `pthread_mutex_t` on 64-bit machines.
//!
//! Facts, read at musl 1.2.3 and the same in 1.2.5: layout `_m_type`, `_m_lock`, `_m_waiters`,
//! `_m_count`, `_m_prev`, `_m_next` (`src/internal/pthread_impl.h`); a normal mutex has `EBUSY`
//! (16) in its word while it is locked and names nobody, all others the owner's tid and a place in
//! the owner's list (`src/thread/pthread_mutex_trylock.c`); a waiter counts itself, sets the
//! word's highest bit and waits with `FUTEX_WAIT` for as long as the word is that
//! (`src/thread/pthread_mutex_timedlock.c`, `__timedwait.c`). Unlike in glibc the op is private
//! unless the mutex is process-shared. Bit 30: the owner died.

use forktrace_common::futex::FUTEX_WAIT;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, TID_LIMIT, Word,
    WordFact, is_tid, word_fact::Thing,
};
use crate::event::Window;

const LOCK: u64 = 4;
const WAITERS: u64 = 8;
const COUNT: u64 = 20;
const PREV: u64 = 24;
const NEXT: u64 = 32;

const TYPE_MASK: u32 = 3;
const RECURSIVE: u32 = 1;
const ERRORCHECK: u32 = 2;
const ROBUST: u32 = 4;
const PSHARED: u32 = 128;

/// The word of a locked mutex of the normal type: `EBUSY`.
const BUSY: u32 = 16;
const AWAITED: u32 = 0x8000_0000;

pub(super) static NORMAL_MUTEX: LockFamily = mutex("musl-mutex", "musl mutex");
pub(super) static RECURSIVE_MUTEX: LockFamily =
    mutex("musl-mutex-recursive", "musl mutex (recursive)");
pub(super) static ERRORCHECK_MUTEX: LockFamily =
    mutex("musl-mutex-errorcheck", "musl mutex (error-checking)");
pub(super) static ROBUST_NORMAL: LockFamily = mutex("musl-mutex-robust", "musl mutex (robust)");
pub(super) static ROBUST_RECURSIVE: LockFamily =
    mutex("musl-mutex-robust-recursive", "musl mutex (robust, recursive)");
pub(super) static ROBUST_ERRORCHECK: LockFamily =
    mutex("musl-mutex-robust-errorcheck", "musl mutex (robust, error-checking)");

const fn mutex(id: &'static str, name: &'static str) -> LockFamily {
    LockFamily::new(id, name, Language::C)
}

/// Recognises mutexes that are not priority inheriting.
pub(super) struct MuslMutex;

impl Decoder for MuslMutex {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        let address = wait.uaddr.checked_sub(LOCK).filter(|at| at.is_multiple_of(8))?;
        if wait.command() != FUTEX_WAIT || scene.on_glibc() {
            return None;
        }
        let now = Fields::at(scene.now, address)?;
        let shared = now.kind & PSHARED != 0;
        let awaited = now.lock & AWAITED != 0 && (1..TID_LIMIT).contains(&now.waiters);
        if !awaited || wait.val != u64::from(now.lock) || shared == wait.is_private() {
            return None;
        }
        let held = now.held()?;
        let then = scene.at_fork.and_then(|window| Fields::at(window, address));
        Some(Reading {
            family: now.family(),
            address,
            at_fork: then.map_or(State::Unknown, |then| then.inherited_as(&now)),
            now: held,
            value_at_fork: then.map(|then| then.lock),
            value: now.lock,
            word: WordFact::now(Part::Word, Base::Hex, now.word())
                .inherited(then.as_ref().map(Fields::word)),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Fields {
    kind: u32,
    lock: u32,
    waiters: u32,
    count: u32,
    prev: u64,
    next: u64,
}

impl Fields {
    fn at(window: &Window, address: u64) -> Option<Self> {
        let word = |offset: u64| window.word(address.checked_add(offset)?);
        let long = |offset: u64| window.long(address.checked_add(offset)?);
        Some(Fields {
            kind: word(0)?,
            lock: word(LOCK)?,
            waiters: word(WAITERS)?,
            count: word(COUNT)?,
            prev: long(PREV)?,
            next: long(NEXT)?,
        })
    }

    /// How it is held, if these are the words of a mutex that somebody holds.
    fn held(&self) -> Option<State> {
        let known = self.kind & !(TYPE_MASK | ROBUST | PSHARED) == 0 && self.kind & 3 != 3;
        let word = self.lock & !AWAITED;
        let named = self.kind & (TYPE_MASK | ROBUST) != 0;
        let listed = self.prev != 0 && self.next != 0;
        let unlisted = self.prev == 0 && self.next == 0 && self.count == 0;
        match named {
            true if known && listed && is_tid(word) => Some(State::Held { owner: Some(word) }),
            false if known && unlisted && word == BUSY => Some(State::Held { owner: None }),
            _ => None,
        }
    }

    /// What these words, as inherited, say of the mutex that is `now` waited for.
    fn inherited_as(&self, now: &Fields) -> State {
        match self.held() {
            Some(held) if self.kind == now.kind => held,
            _ if self.lock & !AWAITED == 0 => State::Free,
            _ => State::HeldUnproven,
        }
    }

    fn family(&self) -> &'static LockFamily {
        match (self.kind & ROBUST != 0, self.kind & TYPE_MASK) {
            (false, RECURSIVE) => &RECURSIVE_MUTEX,
            (false, ERRORCHECK) => &ERRORCHECK_MUTEX,
            (false, _) => &NORMAL_MUTEX,
            (true, RECURSIVE) => &ROBUST_RECURSIVE,
            (true, ERRORCHECK) => &ROBUST_ERRORCHECK,
            (true, _) => &ROBUST_NORMAL,
        }
    }

    fn word(&self) -> Word {
        let meaning = match (self.lock & !AWAITED, self.held()) {
            (0, _) => Meaning::Free,
            (_, Some(State::Held { owner: Some(owner) })) => Meaning::LockedBy(owner),
            (_, Some(_)) => Meaning::Locked,
            (_, None) => Meaning::NotOf(Thing::Mutex),
        };
        Word::new(self.lock, meaning)
    }
}

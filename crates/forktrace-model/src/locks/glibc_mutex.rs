//! glibc's `pthread_mutex_t` on x86-64 and arm64: normal, recursive, errorcheck and adaptive.
//!
//! Facts, read at glibc 2.36 and the same in 2.42: `__lll_lock_wait` (`nptl/lowlevellock.c`) sets
//! the word to 2 and waits with `FUTEX_WAIT` for as long as it is 2; `pthread_mutex_lock` (`nptl/pthread_mutex_lock.c`) writes `__owner` and counts
//! `__nusers` up once it has the word, and sets `__count` for recursive mutexes only. A word that
//! no owner is written beside (glibc's internal locks, lock elision) is none of this decoder's.

use forktrace_common::futex;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, Word, WordFact,
    glibc_layout::{Fields, NO_ELISION, PSHARED, TYPE_MASK},
    is_tid,
    word_fact::Thing,
};

const NORMAL: u32 = 0;
const RECURSIVE: u32 = 1;
const ERRORCHECK: u32 = 2;

/// Most users believed. Every waiter on a condition variable counts as one, and at most one of
/// them exists a thread.
const MAX_USERS: u32 = super::TID_LIMIT;

pub(super) static NORMAL_MUTEX: LockFamily = mutex("glibc-mutex", "glibc mutex");
pub(super) static RECURSIVE_MUTEX: LockFamily =
    mutex("glibc-mutex-recursive", "glibc mutex (recursive)");
pub(super) static ERRORCHECK_MUTEX: LockFamily =
    mutex("glibc-mutex-errorcheck", "glibc mutex (error-checking)");
pub(super) static ADAPTIVE_MUTEX: LockFamily =
    mutex("glibc-mutex-adaptive", "glibc mutex (adaptive)");

const fn mutex(id: &'static str, name: &'static str) -> LockFamily {
    LockFamily::new(id, name, Language::C)
}

/// Recognises mutexes that are neither robust nor priority inheriting or protecting.
pub(super) struct GlibcMutex;

impl Decoder for GlibcMutex {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        if wait.command() != futex::FUTEX_WAIT || wait.val != 2 || !wait.uaddr.is_multiple_of(8) {
            return None;
        }
        let now = Fields::at(scene.now, wait.uaddr)?;
        let shared = now.kind & PSHARED != 0;
        // Robust and priority mutexes alone are in a list.
        let listed = [now.prev, now.next].into_iter().flatten().any(|link| link != 0);
        if !is_held(&now) || shared == wait.is_private() || listed {
            return None;
        }
        let then = scene.at_fork.and_then(|window| Fields::at(window, wait.uaddr));
        Some(Reading {
            family: family(&now),
            address: wait.uaddr,
            at_fork: then.map_or(State::Unknown, |then| inherited(&then, &now)),
            now: State::Held { owner: Some(now.owner) },
            value_at_fork: then.map(|then| then.lock),
            value: now.lock,
            word: WordFact::now(Part::Word, Base::Decimal, word(&now))
                .inherited(then.as_ref().map(word)),
        })
    }
}

/// Whether these are the words of a mutex that somebody holds.
fn is_held(fields: &Fields) -> bool {
    let known_kind = fields.kind & !(TYPE_MASK | PSHARED | NO_ELISION) == 0;
    let recursive = fields.kind & TYPE_MASK == RECURSIVE;
    known_kind
        && matches!(fields.lock, 1 | 2)
        && is_tid(fields.owner)
        && (1..MAX_USERS).contains(&fields.nusers)
        && (fields.count != 0) == recursive
}

/// What the words `then`, as inherited, say of the mutex that is `now` waited for.
fn inherited(then: &Fields, now: &Fields) -> State {
    match then.lock {
        1 | 2 if is_held(then) && then.kind == now.kind => State::Held { owner: Some(then.owner) },
        1 | 2 => State::HeldUnproven,
        // Zero is free; any other value is no mutex's, so there was nothing to hold.
        _ => State::Free,
    }
}

fn family(fields: &Fields) -> &'static LockFamily {
    match fields.kind & TYPE_MASK {
        NORMAL => &NORMAL_MUTEX,
        RECURSIVE => &RECURSIVE_MUTEX,
        ERRORCHECK => &ERRORCHECK_MUTEX,
        _ => &ADAPTIVE_MUTEX,
    }
}

fn word(fields: &Fields) -> Word {
    let meaning = match fields.lock {
        0 => Meaning::Free,
        1 => Meaning::Locked,
        2 => Meaning::LockedWithWaiters,
        _ => Meaning::NotOf(Thing::Mutex),
    };
    Word { owner: Some(fields.owner), ..Word::new(fields.lock, meaning) }
}

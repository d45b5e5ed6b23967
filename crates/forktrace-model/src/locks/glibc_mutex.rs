//! glibc's `pthread_mutex_t` on x86-64: normal, recursive, errorcheck and adaptive.
//!
//! Facts, read at glibc 2.36 and the same in 2.42: `__lll_lock_wait` (`nptl/lowlevellock.c`) sets
//! the word to 2 and waits with `FUTEX_WAIT` for as long as it is 2; `pthread_mutex_lock` (`nptl/pthread_mutex_lock.c`) writes `__owner` and counts
//! `__nusers` up once it has the word, and sets `__count` for recursive mutexes only. A word that
//! no owner is written beside (glibc's internal locks, lock elision) is none of this decoder's.

use forktrace_common::futex;

use super::{
    Decoder, Reading, Scene, State, detail,
    glibc_layout::{Fields, NO_ELISION, PSHARED, TYPE_MASK},
    is_tid,
};

const NORMAL: u32 = 0;
const RECURSIVE: u32 = 1;
const ERRORCHECK: u32 = 2;

/// Most users believed. Every waiter on a condition variable counts as one, and at most one of
/// them exists a thread.
const MAX_USERS: u32 = super::TID_LIMIT;

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
            kind: name(&now),
            address: wait.uaddr,
            at_fork: then.map_or(State::Unknown, |then| inherited(&then, &now)),
            now: State::Held { owner: Some(now.owner) },
            value_at_fork: then.map(|then| then.lock),
            value: now.lock,
            anyone_may_release: false,
            detail: detail("word", &now, then.as_ref(), meaning),
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

fn name(fields: &Fields) -> &'static str {
    match fields.kind & TYPE_MASK {
        NORMAL => "glibc mutex",
        RECURSIVE => "glibc mutex (recursive)",
        ERRORCHECK => "glibc mutex (error-checking)",
        _ => "glibc mutex (adaptive)",
    }
}

fn meaning(fields: &Fields) -> String {
    let state = match fields.lock {
        0 => "free",
        1 => "locked",
        2 => "locked, with waiters",
        _ => "no mutex",
    };
    format!("{} ({state}) and owner {}", fields.lock, fields.owner)
}

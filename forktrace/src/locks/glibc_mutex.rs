//! glibc's `pthread_mutex_t` on x86-64: normal, recursive, errorcheck and adaptive.
//!
//! Facts, read at glibc 2.36 and the same in 2.42: layout `struct __pthread_mutex_s`
//! (`sysdeps/x86/nptl/bits/struct_mutex.h`); kinds and their flags (`sysdeps/nptl/pthreadP.h`);
//! `__lll_lock_wait` (`nptl/lowlevellock.c`) sets the word to 2 and waits with `FUTEX_WAIT` for as
//! long as it is 2; `pthread_mutex_lock` (`nptl/pthread_mutex_lock.c`) writes `__owner` and counts
//! `__nusers` up once it has the word, and sets `__count` for recursive mutexes only. A word that
//! no owner is written beside (glibc's internal locks, lock elision) is none of this decoder's.

use forktrace_common::futex;

use super::{Decoder, Reading, Scene, State, is_tid};
use crate::event::Window;

const COUNT: u64 = 4;
const OWNER: u64 = 8;
const NUSERS: u64 = 12;
const KIND: u64 = 16;
const LIST_PREV: u64 = 24;
const LIST_NEXT: u64 = 32;

/// `PTHREAD_MUTEX_KIND_MASK_NP`.
const TYPE_MASK: u32 = 3;
/// `PTHREAD_MUTEX_PSHARED_BIT`.
const PSHARED: u32 = 128;
/// `PTHREAD_MUTEX_NO_ELISION_NP`, set by `pthread_mutexattr_settype` for the normal type until
/// elision was removed in 2.42. The opposite flag, 256, marks mutexes that record no owner.
const NO_ELISION: u32 = 512;

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
        if !now.is_held() || shared == wait.is_private() || !unlisted(scene.now, wait.uaddr) {
            return None;
        }
        let then = scene.at_fork.and_then(|window| Fields::at(window, wait.uaddr));
        Some(Reading {
            kind: now.name(),
            address: wait.uaddr,
            at_fork: then.map_or(State::Unknown, |then| then.inherited_as(&now)),
            now: State::Held { owner: Some(now.owner) },
            value_at_fork: then.map(|then| then.lock),
            value: now.lock,
            anyone_may_release: false,
            detail: detail(&now, then.as_ref()),
        })
    }
}

/// The words that tell one mutex from anything else.
#[derive(Clone, Copy, Debug)]
struct Fields {
    lock: u32,
    count: u32,
    owner: u32,
    nusers: u32,
    kind: u32,
}

impl Fields {
    fn at(window: &Window, address: u64) -> Option<Self> {
        let word = |offset: u64| window.word(address.checked_add(offset)?);
        Some(Fields {
            lock: word(0)?,
            count: word(COUNT)?,
            owner: word(OWNER)?,
            nusers: word(NUSERS)?,
            kind: word(KIND)?,
        })
    }

    /// Whether these are the words of a mutex that somebody holds.
    fn is_held(&self) -> bool {
        let known_kind = self.kind & !(TYPE_MASK | PSHARED | NO_ELISION) == 0;
        let recursive = self.kind & TYPE_MASK == RECURSIVE;
        known_kind
            && matches!(self.lock, 1 | 2)
            && is_tid(self.owner)
            && (1..MAX_USERS).contains(&self.nusers)
            && (self.count != 0) == recursive
    }

    /// What these words, as inherited, say of the mutex that is `now` waited for.
    fn inherited_as(&self, now: &Fields) -> State {
        match self.lock {
            1 | 2 if self.is_held() && self.kind == now.kind => {
                State::Held { owner: Some(self.owner) }
            }
            1 | 2 => State::HeldUnproven,
            // Zero is free; any other value is no mutex's, so there was nothing to hold.
            _ => State::Free,
        }
    }

    fn name(&self) -> &'static str {
        match self.kind & TYPE_MASK {
            NORMAL => "glibc mutex",
            RECURSIVE => "glibc mutex (recursive)",
            ERRORCHECK => "glibc mutex (error-checking)",
            _ => "glibc mutex (adaptive)",
        }
    }

    fn meaning(&self) -> &'static str {
        match self.lock {
            0 => "free",
            1 => "locked",
            2 => "locked, with waiters",
            _ => "no mutex",
        }
    }
}

/// Whether the list links, which robust and priority mutexes alone use, are empty. Links outside
/// the window say nothing.
fn unlisted(window: &Window, address: u64) -> bool {
    [LIST_PREV, LIST_NEXT].into_iter().all(|offset| {
        let link = address.checked_add(offset).and_then(|at| window.long(at));
        link.is_none_or(|link| link == 0)
    })
}

fn detail(now: &Fields, then: Option<&Fields>) -> String {
    match then {
        Some(then) => format!(
            "word was {} ({}) and owner {} in the page as inherited",
            then.lock,
            then.meaning(),
            then.owner
        ),
        None => format!("word is {} ({}) and owner {} now", now.lock, now.meaning(), now.owner),
    }
}

//! glibc `pthread_mutex_t`: normal, recursive, error-checking and adaptive.
//!
//! Layout on x86-64 (`sysdeps/x86/nptl/bits/struct_mutex.h`, `struct __pthread_mutex_s`, glibc
//! 2.36): `__lock` +0, `__count` +4, `__owner` +8, `__nusers` +12, `__kind` +16. The word is 0 free,
//! 1 locked, 2 locked with waiters (`sysdeps/nptl/lowlevellock.h`); a waiter sets it to 2 and waits
//! with FUTEX_WAIT for as long as it is 2 (`nptl/lowlevellock.c`, `__lll_lock_wait`).
//!
//! glibc's internal locks wait the same way but are a word alone: there, the fields beside it are
//! somebody else's. Only bytes that agree with a held mutex in every field are taken for one.

use forktrace_common::futex::{FUTEX_CMD_MASK, FUTEX_WAIT};

use super::{Decoder, Reading, Scene, State};
use crate::event::Window;

const OWNER: u64 = 8;
const USERS: u64 = 12;
const KIND: u64 = 16;

/// Locked with waiters: what a waiter expects.
const CONTENDED: u64 = 2;

/// `PTHREAD_MUTEX_*` in `__kind`, low two bits: normal, recursive, errorcheck, adaptive.
const KIND_MASK: u32 = 3;
/// `PTHREAD_MUTEX_PSHARED_BIT`, `nptl/pthreadP.h`, glibc 2.36: the attribute alone; where the mutex
/// really lies is for the mapping to say.
const PSHARED: u32 = 128;
/// `PTHREAD_MUTEX_ELISION_NP | PTHREAD_MUTEX_NO_ELISION_NP`, same file.
const ELISION: u32 = 256 | 512;

/// `PID_MAX_LIMIT`, `include/linux/threads.h`, Linux 6.18: no tid is larger.
const TID_MAX: u32 = 4 << 20;

pub(super) struct GlibcMutex;

impl Decoder for GlibcMutex {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let base = scene.wait.uaddr;
        if scene.wait.op & FUTEX_CMD_MASK != FUTEX_WAIT || scene.wait.val != CONTENDED {
            return None;
        }
        let value = scene.now.word(base)?;
        let kind = kind_name(scene.now.word(base.wrapping_add(KIND))?)?;
        let now = state(scene.now, base)?;
        let Some(inherited) = scene.at_fork else {
            let detail = "the mutex as inherited is not known".to_owned();
            let at_fork = State::Unknown;
            return Some(reading(kind, base, at_fork, now, None, value, detail));
        };
        // A mutex does not change its kind.
        if inherited.word(base.wrapping_add(KIND))? != scene.now.word(base.wrapping_add(KIND))? {
            return None;
        }
        let value_at_fork = inherited.word(base)?;
        let at_fork = state(inherited, base)?;
        let detail = match at_fork {
            State::Held { owner: Some(owner) } => format!(
                "word was {value_at_fork} (locked) and owner {owner} in the page as inherited"
            ),
            _ => format!("word was {value_at_fork} (free) in the page as inherited"),
        };
        Some(reading(kind, base, at_fork, now, Some(value_at_fork), value, detail))
    }
}

fn reading(
    kind: &'static str,
    address: u64,
    at_fork: State,
    now: State,
    value_at_fork: Option<u32>,
    value: u32,
    detail: String,
) -> Reading {
    Reading { kind, address, at_fork, now, value_at_fork, value, anyone_may_release: false, detail }
}

fn kind_name(kind: u32) -> Option<&'static str> {
    if kind & !(KIND_MASK | PSHARED | ELISION) != 0 {
        return None;
    }
    Some(match kind & KIND_MASK {
        0 => "glibc mutex",
        1 => "glibc mutex (recursive)",
        2 => "glibc mutex (error-checking)",
        _ => "glibc mutex (adaptive)",
    })
}

/// The state of the mutex at `base`, if the bytes are those of one.
fn state(window: &Window, base: u64) -> Option<State> {
    let owner = window.word(base.wrapping_add(OWNER))?;
    let users = window.word(base.wrapping_add(USERS))?;
    match (window.word(base)?, owner) {
        (0, 0) => Some(State::Free),
        // Between taking the word and writing the owner, or the other way round.
        (0 | 1 | 2, owner) if owner <= TID_MAX => match (owner, users) {
            (0, _) => None,
            (_, 1..=TID_MAX) => Some(State::Held { owner: Some(owner) }),
            _ => None,
        },
        _ => None,
    }
}

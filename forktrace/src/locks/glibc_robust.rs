//! glibc's robust and priority inheriting `pthread_mutex_t` on x86-64, whose word names the owner.
//!
//! Facts, read at glibc 2.36 and the same in 2.42: layout as in `glibc_mutex.rs`; kinds
//! `PTHREAD_MUTEX_ROBUST_NORMAL_NP` (16) and `PTHREAD_MUTEX_PRIO_INHERIT_NP` (32)
//! (`sysdeps/nptl/pthreadP.h`); a robust mutex has the process-shared bit in any memory, because
//! the kernel wakes its waiters with a shared op (`nptl/pthread_mutex_init.c`);
//! `__pthread_mutex_lock_full` (`nptl/pthread_mutex_lock.c`) puts the tid into the word, sets
//! `__count` to 1 for every type, links the mutex into the thread's robust list, and waits with the
//! shared op for as long as the word is the tid with `FUTEX_WAITERS`. The kernel's marks in the
//! word are those of `include/uapi/linux/futex.h`.
//!
//! What happens to an inherited priority inheriting mutex, seen on Linux 6.18 with glibc 2.36: a
//! robust one is waited for with `FUTEX_LOCK_PI` and a shared op until its owner, a thread of the
//! other process, ends. One that is not robust does not block in `LOCK_PI`: the kernel refuses
//! (EPERM, and glibc aborts the process), or says that the owner is gone (ESRCH), upon which glibc
//! waits for ever on a local variable that says nothing of the mutex.

use forktrace_common::futex::{FUTEX_LOCK_PI, FUTEX_LOCK_PI2, FUTEX_WAIT};

use super::{Decoder, Reading, Scene, State, TID_LIMIT, is_tid};
use crate::event::Window;

const COUNT: u64 = 4;
const OWNER: u64 = 8;
const NUSERS: u64 = 12;
const KIND: u64 = 16;
const LIST_PREV: u64 = 24;
const LIST_NEXT: u64 = 32;

/// `PTHREAD_MUTEX_KIND_MASK_NP`.
const TYPE_MASK: u32 = 3;
const ROBUST: u32 = 16;
const PRIO_INHERIT: u32 = 32;
/// `PTHREAD_MUTEX_PSHARED_BIT`.
const PSHARED: u32 = 128;
/// `PTHREAD_MUTEX_NO_ELISION_NP`.
const NO_ELISION: u32 = 512;

/// `FUTEX_TID_MASK`.
const TID_MASK: u32 = 0x3fff_ffff;
/// `FUTEX_WAITERS`.
const WAITERS: u32 = 0x8000_0000;

/// Recognises mutexes that are robust, priority inheriting or both.
pub(super) struct GlibcRobust;

impl Decoder for GlibcRobust {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        let now = Fields::at(scene.now, wait.uaddr)?;
        let fits = match wait.command() {
            FUTEX_WAIT => {
                now.kind & PRIO_INHERIT == 0
                    && !wait.is_private()
                    && wait.val == u64::from(now.lock)
            }
            FUTEX_LOCK_PI | FUTEX_LOCK_PI2 => {
                // A robust one is waited for with a shared op in any memory.
                let shared = now.kind & (ROBUST | PSHARED) != 0;
                now.kind & PRIO_INHERIT != 0 && shared != wait.is_private()
            }
            _ => false,
        };
        if !fits || !wait.uaddr.is_multiple_of(8) || now.lock & WAITERS == 0 {
            return None;
        }
        let owner = now.held_by()?;
        let then = scene.at_fork.and_then(|window| Fields::at(window, wait.uaddr));
        Some(Reading {
            kind: now.name(),
            address: wait.uaddr,
            at_fork: then.map_or(State::Unknown, |then| then.inherited_as(&now)),
            now: State::Held { owner: Some(owner) },
            value_at_fork: then.map(|then| then.lock),
            value: now.lock,
            anyone_may_release: false,
            detail: detail(&now, then.as_ref()),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Fields {
    lock: u32,
    count: u32,
    owner: u32,
    nusers: u32,
    kind: u32,
    /// Whether the links of the robust list are set; `None`: not known.
    listed: Option<bool>,
}

impl Fields {
    fn at(window: &Window, address: u64) -> Option<Self> {
        let word = |offset: u64| window.word(address.checked_add(offset)?);
        let link = |offset: u64| window.long(address.checked_add(offset)?);
        let links = link(LIST_PREV).zip(link(LIST_NEXT));
        Some(Fields {
            lock: word(0)?,
            count: word(COUNT)?,
            owner: word(OWNER)?,
            nusers: word(NUSERS)?,
            kind: word(KIND)?,
            listed: links.map(|(prev, next)| prev != 0 && next != 0),
        })
    }

    /// Who holds it, if these are the words of such a mutex that somebody holds.
    fn held_by(&self) -> Option<u32> {
        let flags = self.kind & (ROBUST | PRIO_INHERIT);
        let known = self.kind & !(TYPE_MASK | flags | PSHARED | NO_ELISION) == 0 && flags != 0;
        let owner = self.lock & TID_MASK;
        // No owner that died: then the word has FUTEX_OWNER_DIED, and the next one gets it.
        let alive = self.lock & !(TID_MASK | WAITERS) == 0;
        let robust = flags & ROBUST != 0;
        let held = known
            && alive
            && is_tid(owner)
            && owner == self.owner
            && (1..TID_LIMIT).contains(&self.nusers)
            && (!robust || self.listed != Some(false))
            && (1..TID_LIMIT).contains(&self.count);
        held.then_some(owner)
    }

    /// What these words, as inherited, say of the mutex that is `now` waited for.
    fn inherited_as(&self, now: &Fields) -> State {
        match self.held_by() {
            Some(owner) if self.kind == now.kind => State::Held { owner: Some(owner) },
            _ if self.lock & TID_MASK == 0 => State::Free,
            _ => State::HeldUnproven,
        }
    }

    fn name(&self) -> &'static str {
        let robust = self.kind & ROBUST != 0;
        match (self.kind & PRIO_INHERIT != 0, robust, self.kind & TYPE_MASK) {
            (false, _, 1) => "glibc mutex (robust, recursive)",
            (false, _, 2) => "glibc mutex (robust, error-checking)",
            (false, _, 3) => "glibc mutex (robust, adaptive)",
            (false, ..) => "glibc mutex (robust)",
            (true, true, _) => "glibc mutex (robust, priority inheriting)",
            (true, false, _) => "glibc mutex (priority inheriting)",
        }
    }
}

fn detail(now: &Fields, then: Option<&Fields>) -> String {
    let meaning = |fields: &Fields| match fields.lock & TID_MASK {
        0 => "free".to_owned(),
        owner => format!("locked by {owner}"),
    };
    match then {
        Some(then) => {
            format!("word was {:#x} ({}) in the page as inherited", then.lock, meaning(then))
        }
        None => format!("word is {:#x} ({}) now", now.lock, meaning(now)),
    }
}

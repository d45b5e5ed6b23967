//! glibc's robust and priority inheriting `pthread_mutex_t`, whose word names the owner.
//!
//! Facts, read at glibc 2.36 and the same in 2.42: kinds
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

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, TID_LIMIT, Word,
    WordFact,
    glibc_layout::{Fields, NO_ELISION, PSHARED, TYPE_MASK},
    is_tid,
};

const ROBUST: u32 = 16;
const PRIO_INHERIT: u32 = 32;

/// `FUTEX_TID_MASK`.
const TID_MASK: u32 = 0x3fff_ffff;
/// `FUTEX_WAITERS`.
const WAITERS: u32 = 0x8000_0000;

pub(super) static ROBUST_NORMAL: LockFamily = mutex("glibc-mutex-robust", "glibc mutex (robust)");
pub(super) static ROBUST_RECURSIVE: LockFamily =
    mutex("glibc-mutex-robust-recursive", "glibc mutex (robust, recursive)");
pub(super) static ROBUST_ERRORCHECK: LockFamily =
    mutex("glibc-mutex-robust-errorcheck", "glibc mutex (robust, error-checking)");
pub(super) static ROBUST_ADAPTIVE: LockFamily =
    mutex("glibc-mutex-robust-adaptive", "glibc mutex (robust, adaptive)");
pub(super) static ROBUST_PRIO_INHERIT: LockFamily =
    mutex("glibc-mutex-robust-pi", "glibc mutex (robust, priority inheriting)");
pub(super) static ONLY_PRIO_INHERIT: LockFamily =
    mutex("glibc-mutex-pi", "glibc mutex (priority inheriting)");

const fn mutex(id: &'static str, name: &'static str) -> LockFamily {
    LockFamily::new(id, name, Language::C)
}

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
        let owner = held_by(&now)?;
        let then = scene.at_fork.and_then(|window| Fields::at(window, wait.uaddr));
        Some(Reading {
            family: family(&now),
            address: wait.uaddr,
            at_fork: then.map_or(State::Unknown, |then| inherited(&then, &now)),
            now: State::Held { owner: Some(owner) },
            value_at_fork: then.map(|then| then.lock),
            value: now.lock,
            word: WordFact::now(Part::Word, Base::Hex, word(&now))
                .inherited(then.as_ref().map(word)),
        })
    }
}

/// Who holds it, if these are the words of such a mutex that somebody holds.
fn held_by(fields: &Fields) -> Option<u32> {
    let flags = fields.kind & (ROBUST | PRIO_INHERIT);
    let known = fields.kind & !(TYPE_MASK | flags | PSHARED | NO_ELISION) == 0 && flags != 0;
    let owner = fields.lock & TID_MASK;
    // No owner that died: then the word has FUTEX_OWNER_DIED, and the next one gets it.
    let alive = fields.lock & !(TID_MASK | WAITERS) == 0;
    let robust = flags & ROBUST != 0;
    // Whether it is in its owner's list, if that is known.
    let listed = fields.prev.zip(fields.next).map(|(prev, next)| prev != 0 && next != 0);
    let held = known
        && alive
        && is_tid(owner)
        && owner == fields.owner
        && (1..TID_LIMIT).contains(&fields.nusers)
        && (!robust || listed != Some(false))
        && (1..TID_LIMIT).contains(&fields.count);
    held.then_some(owner)
}

/// What the words `then`, as inherited, say of the mutex that is `now` waited for.
fn inherited(then: &Fields, now: &Fields) -> State {
    match held_by(then) {
        Some(owner) if then.kind == now.kind => State::Held { owner: Some(owner) },
        _ if then.lock & TID_MASK == 0 => State::Free,
        _ => State::HeldUnproven,
    }
}

fn family(fields: &Fields) -> &'static LockFamily {
    let robust = fields.kind & ROBUST != 0;
    match (fields.kind & PRIO_INHERIT != 0, robust, fields.kind & TYPE_MASK) {
        (false, _, 1) => &ROBUST_RECURSIVE,
        (false, _, 2) => &ROBUST_ERRORCHECK,
        (false, _, 3) => &ROBUST_ADAPTIVE,
        (false, ..) => &ROBUST_NORMAL,
        (true, true, _) => &ROBUST_PRIO_INHERIT,
        (true, false, _) => &ONLY_PRIO_INHERIT,
    }
}

fn word(fields: &Fields) -> Word {
    let meaning = match fields.lock & TID_MASK {
        0 => Meaning::Free,
        owner => Meaning::LockedBy(owner),
    };
    Word::new(fields.lock, meaning)
}

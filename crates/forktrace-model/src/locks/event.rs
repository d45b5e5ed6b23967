//! Words that a thread waits on although nobody holds them: conditions, barriers, semaphores of
//! C++, OpenMP. What they have in common is all that is asked: the word is what the waiter expects
//! it to be, and whoever changes it wakes the waiter.
//!
//! Facts for the names, read at glibc 2.36: `struct pthread_barrier` is `in`, `current_round`,
//! `count`, `shared`, `out`, and waiters wait on the round with `FUTEX_WAIT`
//! (`sysdeps/nptl/internaltypes.h`, `nptl/pthread_barrier_wait.c`); condition variables are known by
//! [`glibc_cond`] and [`glibc_sem`]. `std::atomic::wait` and what is built on it wait with the shared op on the
//! variable itself, or for other sizes than 4 bytes on a word inside of libstdc++ (GCC 12,
//! `bits/atomic_wait.h`).

use forktrace_common::futex::{FUTEX_WAIT, FUTEX_WAIT_BITSET, OP_WAITV};

use super::{
    Base, Language, LockFamily, Part, Reading, Scene, State, TID_LIMIT, Word, WordFact, glibc_cond,
    glibc_sem, waiting_code,
};
use crate::event::Window;

/// Offset of `__g_signals` in a `pthread_cond_t` up to glibc 2.40 and since.
const COND_SIGNALS: [u64; 2] = [40, 32];

pub(super) static CONDITION_VARIABLE: LockFamily =
    event("glibc-condition-variable", "glibc condition variable", Some(Language::C));
pub(super) static BARRIER: LockFamily = event("glibc-barrier", "glibc barrier", Some(Language::C));
/// A word of which nothing else is known.
pub(super) static WORD: LockFamily = event("futex-word", "futex word", None);

pub(super) const fn event(
    id: &'static str,
    name: &'static str,
    language: Option<Language>,
) -> LockFamily {
    LockFamily { language, anyone_may_release: true, ..LockFamily::new(id, name, Language::C) }
}

/// The word as something that is waited for without being held. Asked only when no decoder knows
/// the lock. A reading of it is `HeldUnproven` at the fork: unchanged since, held by nobody;
/// `Free`: it was another one then.
pub(super) fn read(scene: &Scene<'_>) -> Option<Reading> {
    let wait = scene.wait;
    if !matches!(wait.command(), FUTEX_WAIT | FUTEX_WAIT_BITSET) {
        return None;
    }
    let now = scene.now.word(wait.uaddr).filter(|word| wait.val == u64::from(*word))?;
    Some(reading(scene, now, named(scene)))
}

/// The word, whatever it is and whoever changed it. `None`: the wait is for several words.
pub(super) fn read_word(scene: &Scene<'_>) -> Option<Reading> {
    let wait = scene.wait;
    let now = scene.now.word(wait.uaddr).filter(|_| wait.op != OP_WAITV)?;
    Some(reading(scene, now, (&WORD, wait.uaddr)))
}

fn reading(scene: &Scene<'_>, now: u32, (family, address): (&'static LockFamily, u64)) -> Reading {
    let then = scene.at_fork.and_then(|window| window.word(scene.wait.uaddr));
    Reading {
        family,
        address,
        at_fork: match then {
            Some(then) if then == now => State::HeldUnproven,
            Some(_) => State::Free,
            None => State::Unknown,
        },
        now: State::Free,
        value_at_fork: then,
        value: now,
        word: WordFact::now(Part::Word, Base::Hex, Word::bare(now)).inherited(then.map(Word::bare)),
    }
}

/// What the word belongs to, where the bytes around it tell, and where that begins.
fn named(scene: &Scene<'_>) -> (&'static LockFamily, u64) {
    let uaddr = scene.wait.uaddr;
    if scene.wait.command() == FUTEX_WAIT_BITSET
        && let Some(address) = cond_address(scene.now, uaddr)
    {
        return (&CONDITION_VARIABLE, address);
    }
    if scene.wait.command() == FUTEX_WAIT && is_barrier(scene.now, uaddr) == Some(true) {
        return (&BARRIER, uaddr.saturating_sub(4));
    }
    (waiting_code::family(scene).unwrap_or(&WORD), uaddr)
}

/// Where the condition variable begins one of whose groups is waited for. While it is being signalled its
/// words may not agree with each other; the first group's word is known then, too.
fn cond_address(window: &Window, uaddr: u64) -> Option<u64> {
    glibc_cond::of_waiting_group(window, uaddr).or_else(|| {
        glibc_sem::is_cond(window, uaddr).then(|| {
            let mut starts =
                COND_SIGNALS.into_iter().filter_map(|offset| uaddr.checked_sub(offset));
            let is_start = |at: &u64| {
                window.long(*at).is_some_and(|sequence| (2..1 << 48).contains(&sequence))
            };
            starts.find(|at| at.is_multiple_of(8) && is_start(at)).unwrap_or(uaddr)
        })
    })
}

/// Whether the word is the round of a barrier at which some, but not all, have arrived.
fn is_barrier(window: &Window, uaddr: u64) -> Option<bool> {
    let start = uaddr.checked_sub(4)?;
    let word = |offset: u64| window.word(start.checked_add(offset)?);
    let (arrived, round, count) = (word(0)?, word(4)?, word(8)?);
    let (shared, out) = (word(12)?, word(16)?);
    let inside = arrived.checked_sub(round)?;
    Some(
        (2..TID_LIMIT).contains(&count)
            && (1..count).contains(&inside)
            && matches!(shared, 0 | 128)
            && out <= round,
    )
}

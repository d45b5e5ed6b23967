//! Signals that nobody took: what a word for which a lost thread waited says, as inherited and now.
//!
//! A signal changes the word before it makes a system call, so that the change is there also where no
//! system call is seen. It stays there: only who waits takes a signal away. What is asked of the
//! inherited bytes is that somebody waited there at the fork, by a count of waiters or by the value that
//! the wait itself expects; what is asked of the present bytes, that the same waiters are still counted.
//! Where the child has made the object anew, they are not.
//!
//! Sources: glibc 2.36 and 2.42, `sysdeps/nptl/bits/thread-shared-types.h` (`struct __pthread_cond_s`),
//! `nptl/pthread_cond_wait.c` and `pthread_cond_signal.c`; `sysdeps/nptl/internaltypes.h`
//! (`struct new_sem`), `nptl/sem_waitcommon.c` (which waits by `CLOCK_REALTIME`) and `sem_post.c`. Rust 1.95, `library/std/src/sys/sync/thread_parking/futex.rs`
//! (`PARKED` is `u32::MAX`, `NOTIFIED` 1) and `condvar/futex.rs`. GLib 2.84, `glib/gthread-posix.c`
//! (`g_cond_signal` increments the word). musl 1.2.5, `src/thread/sem_post.c` (-1 with waiters, then 1).

use forktrace_common::futex::{FUTEX_CLOCK_REALTIME, FUTEX_PRIVATE_FLAG, FUTEX_WAIT_BITSET};

use crate::{
    event::{Doing, LostThread, LostWord, Window},
    finding::SignalSort,
};

/// Largest number of waiters that is believed: `PID_MAX_LIMIT`, Linux 6.18.
const MOST_WAITERS: u32 = 1 << 22;
/// Most signals that are believed.
const MOST_SIGNALS: u32 = 1 << 20;
/// Most waits since a condition variable was made that are believed.
const MOST_WAITS: u64 = 1 << 48;

/// A layout of condition variables.
#[derive(Clone, Copy)]
struct Layout {
    /// Offset of `__wrefs`.
    wrefs: u64,
    /// Offsets of the two words of `__g_signals`.
    signals: [u64; 2],
    /// Offsets of two other words: up to glibc 2.40 `__g_refs`, which count the waiters of a group from bit 1
    /// on; since then words that are always 0.
    others: [u64; 2],
    are_refs: bool,
}

const LAYOUTS: [Layout; 2] = [
    Layout { wrefs: 36, signals: [40, 44], others: [16, 20], are_refs: true },
    Layout { wrefs: 28, signals: [32, 36], others: [40, 44], are_refs: false },
];
/// `__wrefs` counts waiters from this bit on.
const WREFS_SHIFT: u32 = 3;
/// Size of a condition variable, bytes.
pub(super) const CONDITION_SIZE: u64 = 48;
/// Of a semaphore: the number of its waiters, and whether it is shared (0: private).
const SEM_WAITERS: u64 = 4;
const SEM_PRIVATE: u64 = 8;
const SEM_SIZE: u64 = 32;
/// The word of a parked thread in Rust, and of a semaphore of musl with waiters.
const PARKED: u32 = u32::MAX;
const NOTIFIED: u32 = 1;

/// Signals that nobody took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signals {
    pub(super) sort: SignalSort,
    /// How many there are, at least.
    pub(super) count: u32,
    /// First address of what the word belongs to, and its size.
    pub(super) object: (u64, u64),
}

/// The signals at the word of a lost thread; `None`: there are none, or it is not known what the word is.
pub(super) fn at(thread: &LostThread) -> Option<Signals> {
    let Doing::Futex { uaddr, val, op, .. } = thread.doing else { return None };
    let word = thread.word.as_deref()?;
    let (then, now) = (then(word)?, word.now.as_ref()?);
    // What was one of these at the fork is nothing else, also where it was made anew.
    let known = then.word(uaddr).map(u64::from) == Some(val);
    if let Some(condition) = Condition::around(uaddr, then).filter(|_| known) {
        return condition.signals(uaddr, then, now);
    }
    let clock = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME;
    match Semaphore::at(uaddr, then).filter(|_| op == clock) {
        Some(semaphore) => semaphore.signals(uaddr, now),
        // A join waits for a thread's id by this shared operation, and fork changes that id
        // (glibc 2.36, `nptl/pthread_join_common.c`, `sysdeps/nptl/_Fork.c`).
        None if op == FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME => None,
        None => single(uaddr, val, then, now),
    }
}

/// The bytes as inherited; where they are not known, those of the first look.
fn then(word: &LostWord) -> Option<&Window> {
    word.at_fork.known().or(word.first.as_ref())
}

/// A condition variable with waiters.
struct Condition {
    base: u64,
    layout: Layout,
}

impl Condition {
    /// The one that has the word at `uaddr` as one of its groups'.
    fn around(uaddr: u64, then: &Window) -> Option<Self> {
        LAYOUTS.iter().find_map(|layout| {
            let bases = layout.signals.iter().filter_map(|offset| uaddr.checked_sub(*offset));
            let mut all = bases.map(|base| Condition { base, layout: *layout });
            all.find(|one| one.base.is_multiple_of(8) && one.has_waiters(then) == Some(true))
        })
    }

    fn has_waiters(&self, memory: &Window) -> Option<bool> {
        let waiters = self.waiters(memory)?;
        let waits = memory.long(self.base)?;
        let [first, second] = self.layout.others;
        let word = |offset: u64| memory.word(self.base.checked_add(offset)?);
        let (first, second) = (word(first)?, word(second)?);
        let fits = match self.layout.are_refs {
            // Each waiter is counted in its group too.
            true => (first >> 1).checked_add(second >> 1)? == waiters,
            false => (first, second) == (0, 0),
        };
        Some(fits && (1..MOST_WAITERS).contains(&waiters) && (2..MOST_WAITS).contains(&waits))
    }

    fn waiters(&self, memory: &Window) -> Option<u32> {
        Some(memory.word(self.base.checked_add(self.layout.wrefs)?)? >> WREFS_SHIFT)
    }

    /// A signal adds 2 to the word of the group, and bit 0 says that the group is closed (up to 2.40). The
    /// count of waiters goes down only when one of them leaves.
    fn signals(&self, uaddr: u64, then: &Window, now: &Window) -> Option<Signals> {
        let same = self.waiters(now)? >= self.waiters(then)?;
        let count = now.word(uaddr)?.checked_sub(then.word(uaddr)?)? >> 1;
        (same && (1..MOST_SIGNALS).contains(&count)).then_some(Signals {
            sort: SignalSort::Condition,
            count,
            object: (self.base, CONDITION_SIZE),
        })
    }
}

/// A private semaphore that was 0 and had waiters.
struct Semaphore {
    waiters: u32,
}

impl Semaphore {
    fn at(uaddr: u64, then: &Window) -> Option<Self> {
        let waiters = then.word(uaddr.checked_add(SEM_WAITERS)?)?;
        let private = then.word(uaddr.checked_add(SEM_PRIVATE)?)? == 0;
        let waited = then.word(uaddr)? == 0 && (1..MOST_WAITERS).contains(&waiters);
        (uaddr.is_multiple_of(8) && private && waited).then_some(Semaphore { waiters })
    }

    /// Its value is more than 0 now, and the same waiters are still counted.
    fn signals(&self, uaddr: u64, now: &Window) -> Option<Signals> {
        let same = now.word(uaddr.checked_add(SEM_WAITERS)?)? == self.waiters
            && now.word(uaddr.checked_add(SEM_PRIVATE)?)? == 0;
        let count = now.word(uaddr)?;
        (same && (1..MOST_SIGNALS).contains(&count)).then_some(Signals {
            sort: SignalSort::Semaphore,
            count,
            object: (uaddr, SEM_SIZE),
        })
    }
}

/// A word by itself, which had the value that the wait expects. Locks are waited for with 1 or 2 and
/// become less when they are released; 1 to 2 is a lock that is waited for.
fn single(uaddr: u64, expected: u64, then: &Window, now: &Window) -> Option<Signals> {
    let (then, now) = (then.word(uaddr)?, now.word(uaddr)?);
    if u64::from(then) != expected {
        return None;
    }
    let found = |sort, count| Some(Signals { sort, count, object: (uaddr, 4) });
    match (then, now) {
        (PARKED, NOTIFIED) => found(SignalSort::Token, 1),
        (1, 2) | (PARKED, _) => None,
        _ => {
            let count = now.checked_sub(then).filter(|count| (1..MOST_SIGNALS).contains(count))?;
            found(SignalSort::Counter, count)
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::event::AtFork;

    pub(in crate::hazards::threads_lost) const BASE: u64 = 0x7000_0000_1000;

    fn memory(words: &[(u64, u32)]) -> Window {
        let mut bytes = vec![0; 64];
        for (offset, word) in words {
            let at = usize::try_from(*offset).unwrap();
            bytes.splice(at..at + 4, word.to_le_bytes());
        }
        Window { address: BASE, bytes }
    }

    /// A lost thread that waited for the word at `offset` with `val`, and the memory there.
    pub(in crate::hazards::threads_lost) fn thread(
        offset: u64,
        val: u64,
        then: &[(u64, u32)],
        now: &[(u64, u32)],
    ) -> LostThread {
        LostThread {
            tid: 11,
            comm: "refresher".into(),
            doing: Doing::Futex { uaddr: BASE + offset, op: 393, val, timed: false },
            word: Some(Box::new(LostWord {
                at_fork: AtFork::Known(memory(then)),
                now: Some(memory(now)),
                changed_ns: Some(1),
                ..LostWord::default()
            })),
            ..LostThread::default()
        }
    }

    fn count(thread: &LostThread) -> Option<(SignalSort, u32)> {
        at(thread).map(|signals| (signals.sort, signals.count))
    }

    /// `__wseq` 2, one waiter in `__wrefs`, and up to 2.40 in `__g_refs`.
    const OLD: [(u64, u32); 3] = [(0, 2), (36, 8), (16, 2)];
    const NEW: [(u64, u32); 2] = [(0, 2), (28, 8)];

    #[test]
    fn a_condition_has_the_signals_that_its_waiters_did_not_take() {
        let signalled = |at, by: u32| thread(at, 0, &OLD, &[(0, 3), (36, 8), (16, 2), (at, by)]);
        assert_eq!(count(&signalled(40, 2)), Some((SignalSort::Condition, 1)));
        assert_eq!(count(&signalled(44, 6)), Some((SignalSort::Condition, 3)));
        let new = thread(32, 0, &NEW, &[(0, 3), (28, 8), (32, 2)]);
        assert_eq!(count(&new), Some((SignalSort::Condition, 1)));
    }

    #[test]
    fn a_condition_that_was_made_anew_or_left_has_none() {
        for now in [
            // As it was, initialised again, left by its waiter, and only closed.
            &OLD[..],
            &[],
            &[(0, 3), (36, 0), (40, 2)],
            &[(0, 2), (36, 8), (40, 1)],
        ] {
            assert_eq!(count(&thread(40, 0, &OLD, now)), None, "{now:?}");
        }
        // Nobody waited for it at the fork.
        assert_eq!(at(&thread(40, 7, &[(0, 2)], &[(0, 2), (40, 2)])), None);
    }

    #[test]
    fn the_id_of_a_thread_that_is_joined_is_no_counter() {
        let mut joined = thread(16, 21163, &[(16, 21163)], &[(16, 21164)]);
        assert_eq!(count(&joined), Some((SignalSort::Counter, 1)));
        joined.doing = Doing::Futex { uaddr: BASE + 16, op: 265, val: 21163, timed: false };
        assert_eq!(at(&joined), None);
    }

    #[test]
    fn a_semaphore_keeps_what_nobody_took() {
        let then = [(4, 1)];
        assert_eq!(
            count(&thread(0, 0, &then, &[(0, 2), (4, 1)])),
            Some((SignalSort::Semaphore, 2))
        );
        for now in [&[(4, 1)][..], &[(0, 1)], &[(0, 1), (4, 2)], &[(0, 1), (4, 1), (8, 128)]] {
            let found = count(&thread(0, 0, &then, now));
            assert_ne!(found.map(|(sort, _)| sort), Some(SignalSort::Semaphore), "{now:?}");
        }
    }

    #[test]
    fn a_token_behind_a_pointer_is_no_condition() {
        // Rust's handle of a thread: counts, and a pointer before the token.
        let handle =
            |token| [(8, 3), (16, 1), (24, 2), (40, 0x57fc_be50), (44, 0x7ffc), (48, token)];
        let parked = thread(48, u32::MAX.into(), &handle(u32::MAX), &handle(1));
        assert_eq!(count(&parked), Some((SignalSort::Token, 1)));
    }

    #[test]
    fn words_by_themselves() {
        let one = |val: u32, now: u32| count(&thread(12, val.into(), &[(12, val)], &[(12, now)]));
        assert_eq!(one(u32::MAX, 1), Some((SignalSort::Token, 1)));
        assert_eq!(one(7, 9), Some((SignalSort::Counter, 2)));
        assert_eq!(one(0, 1), Some((SignalSort::Counter, 1)));
        // Locks: released, waited for, reset.
        for (val, now) in [(2, 0), (2, 1), (1, 0), (1, 2), (u32::MAX, 0), (9, 7), (5, 5)] {
            assert_eq!(one(val, now), None, "{val} {now}");
        }
        // The inherited word is not what the wait expects.
        assert_eq!(count(&thread(12, 3, &[(12, 4)], &[(12, 5)])), None);
    }
}

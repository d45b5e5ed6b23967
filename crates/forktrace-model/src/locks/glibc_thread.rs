//! `pthread_join` of glibc: a wait for the end of a thread.
//!
//! Facts, read at glibc 2.36 and the same in 2.42: `__pthread_clockjoin_ex`
//! (`nptl/pthread_join_common.c`) waits for as long as the `tid` in the thread's descriptor is what it
//! is, with `FUTEX_WAIT_BITSET`, the realtime clock and the shared op, for it is the kernel that clears
//! the word when the thread ends (`mm_release`, `kernel/fork.c`, Linux 6.18). After `tid` come a word
//! that is not used, `robust_prev` and `robust_head` (`nptl/descr.h`), whose second word is where in a
//! robust mutex its futex is, counted from the link: -32 on 64-bit machines. In a forked child `tid` is
//! 0 for threads that it does not have (`__reclaim_stacks`, `nptl/nptl-stack.c`), except for those
//! whose stacks the program made.

use forktrace_common::futex::{FUTEX_CLOCK_REALTIME, FUTEX_WAIT_BITSET};

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, Word, WordFact,
    family::FamilyRemedy, is_tid, word_fact::Thing,
};
use crate::event::Window;

/// `robust_head.list`, `robust_head.futex_offset`, from `tid`.
const ROBUST_LIST: u64 = 16;
const FUTEX_OFFSET: u64 = 24;
/// `offsetof (pthread_mutex_t, __lock) - offsetof (pthread_mutex_t, __list.__next)`.
const OFFSET: u64 = 0u64.wrapping_sub(32);

/// A thread that is waited for: only its end ends the wait, as if it held its descriptor.
pub(super) static THREAD: LockFamily = LockFamily {
    remedy: FamilyRemedy::Threads,
    ..LockFamily::new("glibc-thread", "end of a thread (pthread_join)", Language::C)
};

/// Recognises them.
pub(super) struct GlibcThread;

impl Decoder for GlibcThread {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        if wait.op != FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME || !wait.uaddr.is_multiple_of(8) {
            return None;
        }
        let tid = scene.now.word(wait.uaddr).filter(|word| u64::from(*word) == wait.val)?;
        if !is_tid(tid) || !is_descriptor(scene.now, wait.uaddr)? {
            return None;
        }
        let then = scene.at_fork.filter(|then| is_descriptor(then, wait.uaddr) == Some(true));
        let then = then.and_then(|then| then.word(wait.uaddr));
        let word = |tid: u32| match tid {
            0 => Word::new(tid, Meaning::Free),
            _ if is_tid(tid) => Word::new(tid, Meaning::LockedBy(tid)),
            _ => Word::new(tid, Meaning::NotOf(Thing::Lock)),
        };
        Some(Reading {
            family: &THREAD,
            address: wait.uaddr,
            at_fork: match then {
                None => State::Unknown,
                Some(then) if is_tid(then) => State::Held { owner: Some(then) },
                Some(_) => State::Free,
            },
            now: State::Held { owner: Some(tid) },
            value_at_fork: then,
            value: tid,
            word: WordFact::now(Part::Word, Base::Decimal, word(tid)).inherited(then.map(word)),
        })
    }
}

/// Whether the word is the `tid` of a thread's descriptor.
fn is_descriptor(window: &Window, tid: u64) -> Option<bool> {
    let long = |offset: u64| window.long(tid.checked_add(offset)?);
    // A list that is empty leads back to itself.
    Some(long(FUTEX_OFFSET)? == OFFSET && long(ROBUST_LIST)? != 0)
}

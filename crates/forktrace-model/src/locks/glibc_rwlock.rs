//! glibc's `pthread_rwlock_t` on x86-64 and arm64.
//!
//! Facts, read at glibc 2.36 and the same in 2.42: layout `struct __pthread_rwlock_arch_t`
//! (`sysdeps/x86/nptl/bits/struct_rwlock.h`, and `sysdeps/nptl/bits/struct_rwlock.h` for arm64, with all
//! fields at the same offsets); bits of `__readers` (`sysdeps/nptl/pthreadP.h`);
//! who waits on which word with which value (`nptl/pthread_rwlock_common.c`); all waits are
//! `FUTEX_WAIT_BITSET` (`nptl/futex-internal.c`). A reader waits on `__wrphase_futex` while a
//! writer holds the lock (expecting 3), or on `__readers` itself behind a queued writer where
//! writers go first. A writer waits on `__writers_futex` while another is first (expecting 3), and
//! as the first one on `__wrphase_futex` until the readers are done (expecting 2). Readers are
//! counted, not named: a lock held for reading has no owner.

use forktrace_common::futex;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, TID_LIMIT, Word,
    WordFact, is_tid,
};
use crate::event::{Wait, Window};

const WRPHASE_FUTEX: u64 = 8;
const WRITERS_FUTEX: u64 = 12;
const PAD3: u64 = 16;
const CUR_WRITER: u64 = 24;
const SHARED: u64 = 28;
const PAD1: u64 = 32;
const PAD2: u64 = 40;
const FLAGS: u64 = 48;

/// `PTHREAD_RWLOCK_WRPHASE`: the lock is a writer's, or was when it was last held.
const WRPHASE: u32 = 1;
/// `PTHREAD_RWLOCK_WRLOCKED`: some writer is first in line, and with `WRPHASE` has the lock.
const WRLOCKED: u32 = 2;
/// `PTHREAD_RWLOCK_RWAITING`.
const RWAITING: u32 = 4;
/// `PTHREAD_RWLOCK_READER_SHIFT`.
const READER_SHIFT: u32 = 3;
/// `PTHREAD_RWLOCK_FUTEX_USED`, in the two futex words.
const FUTEX_USED: u32 = 2;
/// `PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP`, the largest value of `__flags`.
const WRITERS_FIRST: u32 = 2;

pub(super) static FOR_WRITING: LockFamily =
    LockFamily::new("glibc-rwlock-writing", "glibc rwlock (held for writing)", Language::C);
pub(super) static FOR_READING: LockFamily =
    LockFamily::new("glibc-rwlock-reading", "glibc rwlock (held for reading)", Language::C);

/// Recognises read-write locks.
pub(super) struct GlibcRwlock;

impl Decoder for GlibcRwlock {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        if wait.command() != futex::FUTEX_WAIT_BITSET {
            return None;
        }
        [WRPHASE_FUTEX, WRITERS_FUTEX, 0].into_iter().find_map(|offset| read_at(scene, offset))
    }
}

/// The lock whose word at `offset` is waited on.
fn read_at(scene: &Scene<'_>, offset: u64) -> Option<Reading> {
    let address = scene.wait.uaddr.checked_sub(offset).filter(|at| at.is_multiple_of(8))?;
    let now = Fields::at(scene.now, address)?;
    if !now.is_rwlock(scene.wait) {
        return None;
    }
    let hold = now.waited_for(offset, scene.wait)?;
    let then = scene.at_fork.and_then(|window| Fields::at(window, address));
    Some(Reading {
        family: hold.family(),
        address,
        at_fork: then.map_or(State::Unknown, |then| then.inherited_as(&now, hold)),
        now: now.state(hold),
        value_at_fork: then.map(|then| then.readers),
        value: now.readers,
        word: WordFact::now(Part::State, Base::Hex, now.word())
            .inherited(then.as_ref().map(Fields::word)),
    })
}

/// How a lock is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Writing,
    Reading,
}

impl Hold {
    fn family(self) -> &'static LockFamily {
        match self {
            Hold::Writing => &FOR_WRITING,
            Hold::Reading => &FOR_READING,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Fields {
    readers: u32,
    wrphase_futex: u32,
    writers_futex: u32,
    pad: u64,
    cur_writer: u32,
    shared: u32,
    elision: u64,
    pad2: u64,
    flags: u32,
}

impl Fields {
    fn at(window: &Window, address: u64) -> Option<Self> {
        let word = |offset: u64| window.word(address.checked_add(offset)?);
        let long = |offset: u64| window.long(address.checked_add(offset)?);
        Some(Fields {
            readers: word(0)?,
            wrphase_futex: word(WRPHASE_FUTEX)?,
            writers_futex: word(WRITERS_FUTEX)?,
            pad: long(PAD3)?,
            cur_writer: word(CUR_WRITER)?,
            shared: word(SHARED)?,
            elision: long(PAD1)?,
            pad2: long(PAD2)?,
            flags: word(FLAGS)?,
        })
    }

    /// Whether these can be the words of a read-write lock that `wait` waits for.
    fn is_rwlock(&self, wait: &Wait) -> bool {
        // Before 2.42 the first byte of the padding was the elision counter.
        let padding = self.pad == 0 && self.elision >> 8 == 0 && self.pad2 == 0;
        padding
            && self.wrphase_futex <= 3
            && self.writers_futex <= 3
            && self.cur_writer < TID_LIMIT
            && self.flags <= WRITERS_FIRST
            && self.shared == u32::from(!wait.is_private())
            && self.readers >> READER_SHIFT < TID_LIMIT
    }

    /// What a waiter on the word at `offset` waits for, if one can wait there in this state.
    fn waited_for(&self, offset: u64, wait: &Wait) -> Option<Hold> {
        let val = u32::try_from(wait.val).ok()?;
        match offset {
            WRPHASE_FUTEX if val == WRPHASE | FUTEX_USED && self.wrphase_futex == val => {
                (self.hold() == Some(Hold::Writing)).then_some(Hold::Writing)
            }
            WRPHASE_FUTEX if val == FUTEX_USED && self.wrphase_futex == val => {
                (self.hold() == Some(Hold::Reading)).then_some(Hold::Reading)
            }
            WRITERS_FUTEX if val == 1 | FUTEX_USED && self.writers_futex == val => {
                let first = self.readers & WRLOCKED != 0;
                first.then(|| self.hold().unwrap_or(Hold::Writing))
            }
            0 if val == self.readers && self.flags == WRITERS_FIRST => {
                let queued = val & (WRPHASE | WRLOCKED | RWAITING) == WRLOCKED | RWAITING;
                (queued && self.hold() == Some(Hold::Reading)).then_some(Hold::Reading)
            }
            _ => None,
        }
    }

    fn hold(&self) -> Option<Hold> {
        match self.readers & (WRPHASE | WRLOCKED) {
            0 | WRLOCKED if self.readers >> READER_SHIFT > 0 => Some(Hold::Reading),
            bits if bits == WRPHASE | WRLOCKED => Some(Hold::Writing),
            _ => None,
        }
    }

    fn state(&self, hold: Hold) -> State {
        match hold {
            Hold::Writing => {
                State::Held { owner: Some(self.cur_writer).filter(|tid| is_tid(*tid)) }
            }
            Hold::Reading => State::Held { owner: None },
        }
    }

    /// What these words, as inherited, say of the lock that is `now` waited for as held by `hold`.
    fn inherited_as(&self, now: &Fields, hold: Hold) -> State {
        let same = self.flags == now.flags && self.shared == now.shared;
        let blank = self.pad == 0 && self.elision >> 8 == 0 && self.pad2 == 0;
        match self.hold() {
            None => State::Free,
            Some(then) if then == hold && same && blank => self.state(hold),
            Some(_) => State::HeldUnproven,
        }
    }

    fn word(&self) -> Word {
        let meaning = match self.hold() {
            None => Meaning::Free,
            Some(Hold::Writing) => Meaning::HeldForWriting { by: Some(self.cur_writer) },
            Some(Hold::Reading) => Meaning::HeldByReaders(self.readers >> READER_SHIFT),
        };
        Word::new(self.readers, meaning)
    }
}

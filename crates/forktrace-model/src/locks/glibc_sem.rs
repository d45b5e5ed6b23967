//! glibc's `sem_t` on 64-bit machines. CPython up to 3.12 makes its locks of them.
//!
//! Facts, read at glibc 2.36 and the same in 2.42: layout `struct new_sem`
//! (`sysdeps/nptl/internaltypes.h`): value in the low and number of waiters in the high half of
//! one 64-bit word, then `private` (0, or 128 for shared), then padding that `sem_init` does not
//! write; `__new_sem_wait_slow64` (`nptl/sem_waitcommon.c`) counts itself as a waiter and waits
//! with `FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME` for as long as the value is 0.
//!
//! A zero word is no proof by itself: memory that was never a semaphore is zero too. What proves
//! one is `malloc`'s size field, 8 bytes before it (`malloc/malloc.c`, "chunk"), which is the same
//! at the fork and now and fits: the block was allocated already and still is what it was. (One that
//! was free has pointers in the place of a semaphore's words.) Where the size was another one, the
//! semaphore is younger than the fork.

use forktrace_common::futex::{FUTEX_CLOCK_REALTIME, FUTEX_WAIT_BITSET};

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, TID_LIMIT, Word,
    WordFact,
    family::FamilyRemedy,
    word_fact::{Identity, Thing},
};
use crate::event::{Mapping, Window};

const WAITERS: u64 = 4;
const PRIVATE: u64 = 8;
/// `sizeof (sem_t)`, 64-bit.
const SIZE: u64 = 32;
/// `LLL_SHARED`, `sysdeps/nptl/lowlevellock-futex.h`.
const SHARED: u32 = 128;

/// `PREV_INUSE`: the block before is in use.
const PREV_INUSE: u64 = 1;
/// `PREV_INUSE`, `IS_MMAPPED` and `NON_MAIN_ARENA`, the low bits of a chunk's size.
const CHUNK_FLAGS: u64 = 7;
/// `MALLOC_ALIGNMENT`.
const CHUNK_ALIGNMENT: u64 = 16;
/// A chunk's bytes that are not the caller's: its size field.
const CHUNK_OVERHEAD: u64 = 8;

/// A semaphore, which may be used as a lock or as a signal.
pub static SEMAPHORE: LockFamily = LockFamily {
    anyone_may_release: true,
    ..LockFamily::new("glibc-semaphore", "glibc semaphore", Language::C)
};
/// The same in a program in Python.
pub(super) static PYTHON_SEMAPHORE: LockFamily = LockFamily {
    anyone_may_release: true,
    remedy: FamilyRemedy::PythonThreading,
    ..LockFamily::new("python-lock-sem", "Python threading lock (sem_t)", Language::Python)
};

/// Recognises semaphores.
pub(super) struct GlibcSem;

impl Decoder for GlibcSem {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let wait = scene.wait;
        let realtime = wait.op & FUTEX_CLOCK_REALTIME != 0;
        if wait.command() != FUTEX_WAIT_BITSET || !realtime || wait.val != 0 {
            return None;
        }
        if !wait.uaddr.is_multiple_of(8) || is_cond(scene.now, wait.uaddr) {
            return None;
        }
        let now = Fields::at(scene.now, wait.uaddr)?;
        if now.value != 0 || !now.is_sem(wait.is_private()) || on_a_stack(scene) {
            return None;
        }
        let then = scene.at_fork.and_then(|window| Fields::at(window, wait.uaddr));
        let block = scene.block();
        Some(Reading {
            family: &SEMAPHORE,
            address: wait.uaddr,
            at_fork: then.map_or(State::Unknown, |then| match (then.value, block) {
                (0, Block::Same(_)) if then.is_same(&now) => State::Held { owner: None },
                (0, Block::Younger) => State::Free,
                (0, _) => State::HeldUnproven,
                _ => State::Free,
            }),
            now: State::Held { owner: None },
            value_at_fork: then.map(|then| then.value),
            value: now.value,
            word: word_fact(&now, then.as_ref(), block),
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Fields {
    value: u32,
    waiters: u32,
    private: u32,
}

impl Fields {
    fn at(window: &Window, address: u64) -> Option<Self> {
        Some(Fields {
            value: window.word(address)?,
            waiters: window.word(address.checked_add(WAITERS)?)?,
            private: window.word(address.checked_add(PRIVATE)?)?,
        })
    }

    /// Whether these can be the words of a semaphore that somebody waits for.
    fn is_sem(&self, private_wait: bool) -> bool {
        let private = if private_wait { 0 } else { SHARED };
        (1..TID_LIMIT).contains(&self.waiters) && self.private == private
    }

    fn is_same(&self, now: &Fields) -> bool {
        self.private == now.private && self.waiters < TID_LIMIT
    }
}

/// Whether the word is in a `pthread_cond_t` instead, whose waiters look the same to the kernel.
///
/// Its `__g_signals` are at +40 up to glibc 2.40 and at +32 since; before them come `__wrefs`,
/// eight times the number of waiters, and at the start `__wseq`, twice the number of waits so far
/// (`sysdeps/nptl/bits/thread-shared-types.h` and `nptl/pthread_cond_wait.c`, 2.36 and 2.42).
pub(super) fn is_cond(window: &Window, uaddr: u64) -> bool {
    let waiters = uaddr.checked_sub(4).and_then(|at| window.word(at)).map_or(0, |refs| refs >> 3);
    let waits = |offset: u64| {
        let sequence = uaddr.checked_sub(offset).and_then(|at| window.long(at));
        sequence.is_some_and(|sequence| (2..1 << 48).contains(&sequence))
    };
    (1..TID_LIMIT).contains(&waiters) && (waits(40) || waits(32))
}

/// Whether the semaphore seems to be a local variable: that of a waiter parked for some other
/// lock, which is not to be taken for the lock itself.
fn on_a_stack(scene: &Scene<'_>) -> bool {
    let Some(mapping) = scene.mapping else { return false };
    if mapping.path.starts_with("[stack") {
        return true;
    }
    // Calls lie below their caller's variables, and below this one nothing is mapped.
    if scene.wait.uaddr == mapping.start {
        return false;
    }
    // Other threads' stacks are anonymous memory. Size fields of blocks are far below 4 GiB, and
    // what a stack has in their place is mostly a pointer.
    let before = scene.wait.uaddr.checked_sub(CHUNK_OVERHEAD).and_then(|at| scene.now.long(at));
    mapping.path.is_empty() && before.is_none_or(|before| before >> 32 != 0)
}

/// The `malloc` block that begins at the futex word.
#[derive(Clone, Copy, Debug)]
enum Block {
    /// It was there at the fork and still is; its size, bytes.
    Same(u64),
    /// It is there now, and there was another one, or none, at the fork.
    Younger,
    /// There is none, or it is not known what there was.
    Unknown,
}

impl Scene<'_> {
    fn block(&self) -> Block {
        self.find_block().unwrap_or(Block::Unknown)
    }

    fn find_block(&self) -> Option<Block> {
        let mapping = self.mapping.filter(|mapping| mapping.is_heap())?;
        let field = self.wait.uaddr.checked_sub(CHUNK_OVERHEAD)?;
        let size = self.now.long(field)?;
        let then = self.at_fork?.long(field)?;
        let aligned = self.wait.uaddr.is_multiple_of(CHUNK_ALIGNMENT);
        if !aligned || !fits(size, field, mapping) {
            return None;
        }
        // The lowest bit tells of the block before this one.
        let same = then | PREV_INUSE == size | PREV_INUSE;
        Some(if same { Block::Same(size & !CHUNK_FLAGS) } else { Block::Younger })
    }
}

/// Whether `size` can be the size field, at `field`, of a block that holds a semaphore.
fn fits(size: u64, field: u64, mapping: &Mapping) -> bool {
    let bytes = size & !CHUNK_FLAGS;
    // A block's size counts from 8 bytes before its size field.
    let end = field.checked_add(bytes).and_then(|end| end.checked_sub(CHUNK_OVERHEAD));
    bytes >= SIZE + CHUNK_OVERHEAD
        && bytes.is_multiple_of(CHUNK_ALIGNMENT)
        && end.is_some_and(|end| end <= mapping.end)
}

fn word_fact(now: &Fields, then: Option<&Fields>, block: Block) -> WordFact {
    let meaning = |value| if value == 0 { Meaning::Held } else { Meaning::Free };
    let fact = WordFact::now(Part::Word, Base::Decimal, Word::new(now.value, meaning(now.value)));
    let Some(Fields { value, .. }) = then.copied() else { return fact };
    let (inherited, identity) = match block {
        Block::Same(bytes) => (Word::new(value, meaning(value)), Identity::SameBlock { bytes }),
        Block::Younger => (Word::bare(value), Identity::BlockGone),
        Block::Unknown if value == 0 => {
            (Word::new(value, Meaning::HeldOrUnused), Identity::Unproven(Thing::Semaphore))
        }
        Block::Unknown => (Word::new(value, Meaning::Free), Identity::Unproven(Thing::Semaphore)),
    };
    fact.inherited(Some(inherited)).identity(Some(identity))
}

//! glibc `sem_t`. Every lock of Python's `threading` is one up to CPython 3.12
//! (`Python/thread_pthread.h`, `USE_SEMAPHORES`).
//!
//! Layout on x86-64 (`sysdeps/nptl/internaltypes.h`, `struct new_sem`, glibc 2.36): `data` +0 (64
//! bits: value low, number of waiters high), `private` +8, `pad` +12. A waiter expects value 0 and
//! waits with FUTEX_WAIT_BITSET on the realtime clock (`nptl/sem_waitcommon.c`, `do_futex_wait`).
//!
//! A semaphore at zero is a word of zeros, and so is memory that is nothing yet. It is taken for
//! proven only at the start of a malloc chunk whose header is the same now as inherited: then the
//! chunk was in use at the fork (a free one holds list pointers where the semaphore has zeros).

use forktrace_common::futex::{
    FUTEX_CLOCK_REALTIME, FUTEX_CMD_MASK, FUTEX_PRIVATE_FLAG, FUTEX_WAIT_BITSET,
};

use super::{Decoder, Reading, Scene, State};
use crate::event::{Mapping, Window};

const PRIVATE: u64 = 8;
const PAD: u64 = 12;

/// `SEM_NWAITERS_SHIFT`, same file: a waiter in the high half.
const WAITERS_SHIFT: u32 = 32;

/// More waiters than a process can have threads.
const WAITERS_MAX: u64 = 4 << 20;

/// Smallest malloc chunk with its header and the largest that is no mapping of its own
/// (`malloc/malloc.c`: `MINSIZE`, `DEFAULT_MMAP_THRESHOLD_MAX`, glibc 2.36), bytes.
const CHUNK_MIN: u64 = 0x20;
const CHUNK_MAX: u64 = 32 << 20;
/// `PREV_INUSE | IS_MMAPPED | NON_MAIN_ARENA`, and bit 3, which is always zero, same file.
const CHUNK_FLAGS: u64 = 7;
const CHUNK_ALIGN: u64 = 15;

pub(super) struct GlibcSem;

impl Decoder for GlibcSem {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let base = scene.wait.uaddr;
        // `private` is 0 for a semaphore of one process and FUTEX_SHARED (128) otherwise.
        let private = scene.wait.op & FUTEX_PRIVATE_FLAG != 0;
        let command = scene.wait.op & FUTEX_CMD_MASK;
        let realtime = scene.wait.op & FUTEX_CLOCK_REALTIME != 0;
        if command != FUTEX_WAIT_BITSET || !realtime || scene.wait.val != 0 {
            return None;
        }
        let data = scene.now.long(base)?;
        let waiters = data >> WAITERS_SHIFT;
        let word = |window: &Window, offset| window.word(base.wrapping_add(offset));
        let shared = if private { 0 } else { FUTEX_PRIVATE_FLAG };
        if word(scene.now, PRIVATE)? != shared || waiters == 0 || waiters > WAITERS_MAX {
            return None;
        }
        let value = data as u32;
        let now = if value == 0 { State::Held { owner: None } } else { State::Free };
        let (at_fork, value_at_fork, detail) = match scene.at_fork {
            None => (State::Unknown, None, "the semaphore as inherited is not known".to_owned()),
            Some(inherited) => {
                let then = inherited.long(base)?;
                let same_object = word(inherited, PRIVATE)? == shared
                    && word(inherited, PAD)? == word(scene.now, PAD)?
                    && then >> WAITERS_SHIFT <= WAITERS_MAX;
                inherited_state(scene, inherited, then as u32, same_object)
            }
        };
        Some(Reading {
            kind: "glibc semaphore",
            address: base,
            at_fork,
            now,
            value_at_fork,
            value,
            anyone_may_release: true,
            detail,
        })
    }
}

fn inherited_state(
    scene: &Scene<'_>,
    inherited: &Window,
    value: u32,
    same_object: bool,
) -> (State, Option<u32>, String) {
    let said = Some(value);
    if !same_object {
        return (State::Unknown, said, "the bytes as inherited are no semaphore".into());
    }
    if value != 0 {
        let detail = format!("value was {value} (free) in the page as inherited");
        return (State::Free, said, detail);
    }
    if is_heap(scene.mapping) && same_chunk(scene.now, inherited, scene.wait.uaddr) {
        let detail = "value was 0 (held) in the page as inherited, in a heap block in use".into();
        return (State::Held { owner: None }, said, detail);
    }
    let detail = "value was 0 in the page as inherited, and is 0 now".into();
    (State::HeldUnproven, said, detail)
}

/// Memory that malloc may have handed out.
fn is_heap(mapping: Option<&Mapping>) -> bool {
    mapping.is_some_and(|mapping| matches!(mapping.path.as_str(), "[heap]" | ""))
}

/// Whether a malloc chunk begins at `base`, now and as inherited, of the same size.
fn same_chunk(now: &Window, inherited: &Window, base: u64) -> bool {
    let header = |window: &Window| window.long(base.checked_sub(8)?);
    let (Some(now), Some(then)) = (header(now), header(inherited)) else { return false };
    let size = then & !CHUNK_FLAGS;
    base & CHUNK_ALIGN == 0
        && (CHUNK_MIN..=CHUNK_MAX).contains(&size)
        && size & CHUNK_ALIGN == 0
        && size == now & !CHUNK_FLAGS
}

//! glibc `pthread_rwlock_t`.
//!
//! Layout on x86-64 (`sysdeps/nptl/bits/struct_rwlock.h` and `sysdeps/x86/nptl/bits/`, glibc 2.36):
//! `__readers` +0, `__writers` +4, `__wrphase_futex` +8, `__writers_futex` +12, `__cur_writer` +24,
//! `__shared` +28. In `__readers`, bit 0 is the write phase, bit 1 "a writer is the primary one",
//! and the number of readers begins at bit 3 (`nptl/pthread_rwlock_common.c`,
//! `PTHREAD_RWLOCK_WRPHASE`, `_WRLOCKED`, `_READER_SHIFT`). Waiters set bit 1 of the futex they
//! wait on (`PTHREAD_RWLOCK_FUTEX_USED`):
//! readers wait on `__wrphase_futex` for 1 to pass, writers for a writer on `__writers_futex`, and
//! the primary writer for the readers on `__wrphase_futex` for 0 to pass.

use forktrace_common::futex::{FUTEX_CMD_MASK, FUTEX_WAIT_BITSET};

use super::{Decoder, Reading, Scene, State};
use crate::event::Window;

const WRPHASE: u64 = 8;
const WRITERS: u64 = 12;
const CUR_WRITER: u64 = 24;

const PHASE_WRITE: u32 = 1;
const WRITE_LOCKED: u32 = 2;
const READER_SHIFT: u32 = 3;

/// `PTHREAD_RWLOCK_FUTEX_USED`, and the value that is waited for to pass.
const USED: u64 = 2;
const USED_WRITE: u64 = 3;

/// `PID_MAX_LIMIT`, `include/linux/threads.h`, Linux 6.18: no tid and no number of readers that
/// are threads is larger.
const TID_MAX: u32 = 4 << 20;

pub(super) struct GlibcRwlock;

impl Decoder for GlibcRwlock {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        if scene.wait.op & FUTEX_CMD_MASK != FUTEX_WAIT_BITSET {
            return None;
        }
        let offsets: &[u64] = match scene.wait.val {
            USED_WRITE => &[WRPHASE, WRITERS],
            USED => &[WRPHASE],
            _ => return None,
        };
        // Two fields can be waited on with the same value: the one that makes sense of the rest.
        offsets.iter().find_map(|offset| {
            let base = scene.wait.uaddr.checked_sub(*offset)?;
            read_at(scene, base)
        })
    }
}

fn read_at(scene: &Scene<'_>, base: u64) -> Option<Reading> {
    if base % 8 != 0 {
        return None;
    }
    let now = state(scene.now, base)?;
    // The word waited on is inside the lock, so that a lock that nobody has is none of ours.
    let kind = match (now, scene.wait.val) {
        (State::Held { owner: Some(_) }, USED_WRITE) => "glibc rwlock held for writing",
        (State::Held { owner: None }, USED) => "glibc rwlock held for reading",
        _ => return None,
    };
    let (at_fork, value_at_fork, detail) = match scene.at_fork {
        None => (State::Unknown, None, "the rwlock as inherited is not known".to_owned()),
        Some(inherited) => {
            let state = state(inherited, base)?;
            let readers = inherited.word(base)?;
            let detail = match state {
                State::Held { owner: Some(owner) } => {
                    format!("writer was {owner} in the page as inherited")
                }
                State::Held { owner: None } => {
                    format!("{} readers had it in the page as inherited", readers >> READER_SHIFT)
                }
                _ => "nobody had it in the page as inherited".to_owned(),
            };
            (state, Some(readers), detail)
        }
    };
    let value = scene.now.word(base)?;
    let anyone_may_release = false;
    Some(Reading {
        kind,
        address: base,
        at_fork,
        now,
        value_at_fork,
        value,
        anyone_may_release,
        detail,
    })
}

/// The state of the rwlock at `base`, if the bytes agree with each other.
fn state(window: &Window, base: u64) -> Option<State> {
    let readers = window.word(base)?;
    let writer = window.word(base.wrapping_add(CUR_WRITER))?;
    let shared = window.word(base.wrapping_add(CUR_WRITER) + 4)?;
    let count = readers >> READER_SHIFT;
    if shared > 1 || writer > TID_MAX || count > TID_MAX {
        return None;
    }
    let write_phase = readers & PHASE_WRITE != 0;
    let locked = readers & WRITE_LOCKED != 0;
    match (writer, write_phase, locked, count) {
        // Readers that arrive in the write phase count themselves before they wait.
        (1.., true, true, _) => Some(State::Held { owner: Some(writer) }),
        (0, false, _, 1..) => Some(State::Held { owner: None }),
        (0, _, false, 0) => Some(State::Free),
        _ => None,
    }
}

//! Bound methods `lock.__exit__` that are alive.
//!
//! A thread in `with lock:` keeps one on its frame. The frames of threads that a fork lost are never
//! unwound in the child (`_PyThreadState_DeleteExcept` frees the thread states without clearing
//! their frames, `Python/pystate.c`, CPython 3.11), so what they kept is kept for ever, and with it
//! the lock object: its memory cannot have been used again for a new lock.
//!
//! A `PyCFunctionObject` (`Include/cpython/methodobject.h`, CPython 3.8 to 3.12) is found by its
//! `m_self`. It is small, hence in the interpreter's own arenas, which are anonymous mappings.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use super::{super::memory, remote::Remote};
use crate::event::{AtFork, KeptMethod, Mapping, Window};

/// Most memory that is searched, and the most time that this may take.
const MAX_BYTES: u64 = 256 << 20;
const PATIENCE: Duration = Duration::from_millis(1500);
/// Most methods that are told.
const MAX_METHODS: usize = 16;

const PAGE: u64 = 4096;
/// Pages that are read at once.
const CHUNK: u64 = 64;
/// Bit of `/proc/<pid>/pagemap` for a page in memory (`fs/proc/task_mmu.c`, `PM_PRESENT`).
const PRESENT: u64 = 1 << 63;

/// Offset of `m_self`, of `m_ml`, and the bytes of the object up to the end of `m_self`.
const SELF: u64 = 24;
const DEF: u64 = 16;
const SIZE: usize = 32;

/// The living methods `__exit__` of the object at `lock`. Their bytes as inherited are left unknown
/// here.
pub(super) fn find(remote: &Remote, pid: u32, lock: u64) -> Vec<KeptMethod> {
    let Ok(pagemap) = File::open(format!("/proc/{pid}/pagemap")) else { return Vec::new() };
    let mut search = Search { remote, pagemap, lock, found: Vec::new(), left: MAX_BYTES };
    let end = Instant::now() + PATIENCE;
    // The arenas come one after another: nearest to the lock object first.
    let mut mappings = memory::mappings(pid).unwrap_or_default();
    mappings.retain(is_arena);
    mappings.sort_by_key(|mapping| mapping.start.abs_diff(lock));
    for mapping in mappings {
        let mut at = mapping.start;
        while at < mapping.end {
            if search.left == 0 || search.found.len() >= MAX_METHODS || Instant::now() > end {
                return search.found;
            }
            let next = at.saturating_add(CHUNK * PAGE).min(mapping.end);
            search.chunk(at, next);
            at = next;
        }
    }
    search.found
}

fn is_arena(mapping: &Mapping) -> bool {
    mapping.path.is_empty() && !mapping.shared && mapping.perms.starts_with("rw")
}

struct Search<'a> {
    remote: &'a Remote,
    pagemap: File,
    lock: u64,
    found: Vec<KeptMethod>,
    left: u64,
}

impl Search<'_> {
    /// Searches the pages of a stretch that are in memory: others were never written.
    fn chunk(&mut self, start: u64, end: u64) {
        let mut flags = [0; CHUNK as usize * 8];
        let Ok(read) = self.pagemap.read_at(&mut flags, start / PAGE * 8) else { return };
        let (flags, _) = flags.get(..read).unwrap_or_default().as_chunks::<8>();
        let pages = (start..end).step_by(PAGE as usize).zip(flags);
        let wanted = self.lock.to_le_bytes();
        for (page, _) in pages.filter(|(_, flags)| u64::from_le_bytes(**flags) & PRESENT != 0) {
            self.left = self.left.saturating_sub(PAGE);
            let Some(bytes) = self.remote.bytes::<{ PAGE as usize }>(page) else { continue };
            // Objects are at multiples of 16, so that `m_self` is the second half of one.
            let (pairs, _) = bytes.as_chunks::<16>();
            let hits = (page..).step_by(16).zip(pairs).filter(|(_, pair)| pair[8..] == wanted);
            let methods: Vec<_> =
                hits.filter_map(|(at, _)| self.method(at.saturating_add(8))).collect();
            self.found.extend(methods);
        }
    }

    /// The method whose `m_self` is at `place`, if it is one and alive.
    fn method(&self, place: u64) -> Option<KeptMethod> {
        let address = place.checked_sub(SELF).filter(|address| address.is_multiple_of(16))?;
        let now = Window { address, bytes: self.remote.bytes::<SIZE>(address)?.to_vec() };
        // A freed object's reference count is zero.
        if now.long(address)? == 0 || self.remote.type_name(address)? != METHOD {
            return None;
        }
        let name = self.remote.long(now.long(address.checked_add(DEF)?)?)?;
        (self.remote.text(name)? == "__exit__").then(|| KeptMethod {
            address,
            now,
            at_fork: AtFork::default(),
            on_frame: None,
        })
    }
}

const METHOD: &str = "builtin_function_or_method";

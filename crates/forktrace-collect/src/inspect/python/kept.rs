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
    collections::{BTreeMap, BTreeSet},
    fs::File,
    os::unix::fs::FileExt as _,
    time::{Duration, Instant},
};

use super::{
    super::memory,
    frames::{self, Owner},
    lines,
    remote::Remote,
};
use crate::arch::page_size;
use forktrace_model::event::{KeptMethod, Mapping, PythonFrame, Window};

/// Most memory that is searched, and the most time that this may take.
const MAX_BYTES: u64 = 256 << 20;
const PATIENCE: Duration = Duration::from_millis(1500);
/// Most methods in the evidence.
const MAX_METHODS: usize = 16;

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
    let mut found = Vec::new();
    search(remote, pid, lock, &[lock], |place, _| {
        found.extend(method(remote, place));
        found.len() < MAX_METHODS
    });
    found
}

/// Which of the objects at `wanted` are on frames of threads alone, and not on one of a generator:
/// a suspended generator has its frame elsewhere than the thread that runs it. With each, where that
/// frame is at; `None`: not known, or it is on several. `lock` is where the search begins.
pub(super) fn on_threads_frames(
    remote: &Remote,
    pid: u32,
    lock: u64,
    wanted: &[u64],
) -> BTreeMap<u64, Option<PythonFrame>> {
    let (mut of_threads, mut of_others) = (BTreeMap::<_, BTreeSet<u64>>::new(), BTreeSet::new());
    let whole = search(remote, pid, lock, wanted, |place, word| {
        match frames::owner_of_slot(remote, place) {
            Some((Owner::Thread, frame)) => of_threads.entry(word).or_default().insert(frame),
            Some((Owner::Other, _)) => of_others.insert(word),
            None => false,
        };
        true
    });
    if !whole {
        return BTreeMap::new();
    }
    of_threads.retain(|word, _| !of_others.contains(word));
    let only = |frames: BTreeSet<u64>| frames.first().copied().filter(|_| frames.len() == 1);
    let place = |frames| only(frames).and_then(|frame| lines::at(remote, frame));
    of_threads.into_iter().map(|(word, frames)| (word, place(frames))).collect()
}

/// Calls `each` with every place in the interpreter's memory that has one of the `wanted` words, as
/// long as it says so, and with the word. False: not everything was searched.
fn search(
    remote: &Remote,
    pid: u32,
    near: u64,
    wanted: &[u64],
    mut each: impl FnMut(u64, u64) -> bool,
) -> bool {
    let Ok(pagemap) = File::open(format!("/proc/{pid}/pagemap")) else { return false };
    let mut left = MAX_BYTES;
    let size = page_size();
    let end = Instant::now() + PATIENCE;
    // The arenas come one after another: nearest to the lock object first.
    let mut mappings = memory::mappings(pid).unwrap_or_default();
    mappings.retain(is_arena);
    mappings.sort_by_key(|mapping| mapping.start.abs_diff(near));
    for mapping in mappings {
        for start in (mapping.start..mapping.end).step_by((CHUNK * size) as usize) {
            let stop = start.saturating_add(CHUNK * size).min(mapping.end);
            for page in present(&pagemap, start, stop) {
                if left == 0 || Instant::now() > end {
                    return false;
                }
                left = left.saturating_sub(size);
                let Some(bytes) = remote.some(page, size as usize) else { continue };
                let (words, _) = bytes.as_chunks::<8>();
                for (place, word) in (page..).step_by(8).zip(words) {
                    let word = u64::from_le_bytes(*word);
                    if wanted.contains(&word) && !each(place, word) {
                        return false;
                    }
                }
            }
        }
    }
    true
}

/// The pages of a stretch that are in memory: others were never written.
fn present(pagemap: &File, start: u64, end: u64) -> Vec<u64> {
    let mut flags = [0; CHUNK as usize * 8];
    let Ok(read) = pagemap.read_at(&mut flags, start / page_size() * 8) else { return Vec::new() };
    let (flags, _) = flags.get(..read).unwrap_or_default().as_chunks::<8>();
    let pages = (start..end).step_by(page_size() as usize).zip(flags);
    let present = pages.filter(|(_, flags)| u64::from_le_bytes(**flags) & PRESENT != 0);
    present.map(|(page, _)| page).collect()
}

fn is_arena(mapping: &Mapping) -> bool {
    mapping.path.is_empty() && !mapping.shared && mapping.perms.starts_with("rw")
}

/// The method whose `m_self` is at `place`, if it is one and alive.
pub(super) fn method(remote: &Remote, place: u64) -> Option<KeptMethod> {
    let address = place.checked_sub(SELF).filter(|address| address.is_multiple_of(16))?;
    let now = Window { address, bytes: remote.bytes::<SIZE>(address)?.to_vec() };
    // A freed object's reference count is zero.
    if now.long(address)? == 0 || remote.type_name(address)? != METHOD {
        return None;
    }
    let name = remote.long(now.long(address.checked_add(DEF)?)?)?;
    let method = KeptMethod { address, now, ..KeptMethod::default() };
    (remote.text(name)? == "__exit__").then_some(method)
}

const METHOD: &str = "builtin_function_or_method";

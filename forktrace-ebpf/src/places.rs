//! Where first writes are noted and pages kept: chunks, each of one child and one side of its fork.
//!
//! A CPU appends to a chunk of its own, so that a fault takes no lock and no memory from an allocator.
//! The programs run with interrupts off (`exc_page_fault`, `arch/x86/mm/fault.c`, Linux 6.18) or at least
//! without being preempted (`perf_sw_event`, `include/linux/perf_event.h`), and a fault in the middle of
//! one only reads. So what is per CPU has one user at a time.
//!
//! What is found already noted here is left alone. That is only looked for on the same CPU, and not for
//! ever: there may be several notes of a page, of which the reader takes the first.

use aya_ebpf::maps::Stack;
use forktrace_common::maps::{Note, Owner, PLACES, Touch};

use crate::maps::{CHUNKS, CURSORS, FREE, FREE_BEYOND, OWNERS, SEEN};

/// Numbers of entries; powers of two.
pub(crate) const SEEN_ENTRIES: u32 = 1024;
pub(crate) const CURSOR_ENTRIES: u32 = 16;

/// A page of which there is a note.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Seen {
    owner: Owner,
    page: u64,
    place: u32,
    /// The thread that wrote.
    tid: u32,
}

/// A chunk that a CPU fills.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Cursor {
    owner: Owner,
    chunk: u32,
    used: u32,
}

/// Whether a write of this page is noted already, on this CPU. That another thread faulted on it too,
/// is added to the note.
#[inline(always)]
pub(crate) fn is_noted(owner: &Owner, page: u64, tid: u32, now: impl Fn() -> u64) -> bool {
    let Some(seen) = SEEN.get_ptr(index(owner, page)) else {
        return false;
    };
    // SAFETY: the entry is this CPU's own.
    let seen = unsafe { *seen };
    if seen.owner != *owner || seen.page != page {
        return false;
    }
    if seen.tid != tid
        && let Some(note) = note_at(seen.place)
    {
        // SAFETY: the chunk is its owner's as long as there are threads that fault.
        unsafe { (&raw mut (*note).touch.other_ns).write_volatile(now()) }
    }
    true
}

/// The place for the next note of `owner` on this CPU. It stays free until [`put`].
#[inline(always)]
pub(crate) fn next(owner: &Owner, keeps_pages: bool) -> Option<u32> {
    // SAFETY: the entry is this CPU's own.
    let cursor = unsafe { &mut *CURSORS.get_ptr_mut(cursor_index(owner))? };
    if cursor.owner != *owner || cursor.used >= PLACES {
        let chunk = match pop(&FREE, keeps_pages) {
            Some(chunk) => chunk,
            None => pop(&FREE_BEYOND, true)?,
        };
        take(owner, chunk)?;
        *cursor = Cursor { owner: *owner, chunk, used: 0 };
    }
    Some(cursor.chunk * PLACES + cursor.used)
}

/// Writes the note that belongs to a place that [`next`] gave.
#[inline(always)]
pub(crate) fn put(owner: &Owner, page: u64, place: u32, touch: &Touch) {
    let Some(note) = note_at(place) else {
        return;
    };
    // SAFETY: inside of the chunk, which this CPU alone writes.
    unsafe {
        (&raw mut (*note).touch).write_volatile(*touch);
        (&raw mut (*note).page).write_volatile(page);
    }
    if let Some(cursor) = CURSORS.get_ptr_mut(cursor_index(owner)) {
        // SAFETY: the entry is this CPU's own.
        unsafe { (*cursor).used += 1 }
    }
    if let Some(seen) = SEEN.get_ptr_mut(index(owner, page)) {
        // SAFETY: likewise.
        unsafe { *seen = Seen { owner: *owner, page, place, tid: touch.tid } }
    }
}

#[inline(always)]
fn pop(free: &Stack<u32>, wanted: bool) -> Option<u32> {
    if !wanted {
        return None;
    }
    free.pop().ok().flatten()
}

/// Makes an empty chunk the owner's.
#[inline(always)]
fn take(owner: &Owner, chunk: u32) -> Option<()> {
    let place = OWNERS.get_ptr_mut(chunk)?;
    // SAFETY: the chunk was nobody's; readers look at the owner first.
    unsafe {
        for index in 0..PLACES {
            (&raw mut (*note_at(chunk * PLACES + index)?).page).write_volatile(0);
        }
        (&raw mut (*place).tgid).write_volatile(owner.tgid);
        (&raw mut (*place).side).write_volatile(owner.side);
        (&raw mut (*place).fork_ns).write_volatile(owner.fork_ns);
    }
    Some(())
}

#[inline(always)]
fn note_at(place: u32) -> Option<*mut Note> {
    CHUNKS.get_ptr_mut(place)
}

#[inline(always)]
fn cursor_index(owner: &Owner) -> u32 {
    (owner.tgid * 2 + owner.side) % CURSOR_ENTRIES
}

#[inline(always)]
fn index(owner: &Owner, page: u64) -> u32 {
    ((page >> 12) as u32 ^ owner.tgid.wrapping_mul(0x9e37) ^ owner.side) % SEEN_ENTRIES
}

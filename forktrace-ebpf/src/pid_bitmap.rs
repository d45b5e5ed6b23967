//! Whether a task can be in a table at all: one byte by its number.
//!
//! Almost every futex call is made by a task that is in no table, and a look into a hash map costs
//! several times what a byte of an array does, which the kernel's compiler finds without a call
//! (`array_map_gen_lookup`, `kernel/bpf/arraymap.c`, Linux 6.18). A byte is set
//! before it is needed. For traced processes it is the whole answer; for waits and children at risk one
//! that is set for nothing only costs the look.

use aya_ebpf::maps::Array;
use forktrace_common::maps::HINT_CHUNK;

/// One array of [`forktrace_common::maps`].
pub(crate) type Hints = Array<[u8; HINT_CHUNK]>;

#[inline(always)]
fn byte(hints: &Hints, id: u32) -> Option<*mut u8> {
    let chunk = hints.get_ptr_mut(id / HINT_CHUNK as u32)?;
    Some(chunk.cast::<u8>().wrapping_add(id as usize % HINT_CHUNK))
}

/// Whether the byte of `id` is set; `None`: the number is beyond the array.
#[inline(always)]
pub(crate) fn known(hints: &Hints, id: u32) -> Option<bool> {
    // SAFETY: inside of the entry, which lives as long as the map; others write whole bytes.
    byte(hints, id).map(|byte| unsafe { byte.read_volatile() != 0 })
}

/// Whether the table may have an entry of `id`.
#[inline(always)]
pub(crate) fn possible(hints: &Hints, id: u32) -> bool {
    known(hints, id).unwrap_or(true)
}

/// In [`crate::maps::RISK_HINTS`]: [`crate::maps::AT_RISK`] may have an entry.
pub(crate) const AT_RISK: u8 = 1;
/// In [`crate::maps::RISK_HINTS`]: [`crate::maps::FORKERS`] may have an entry.
pub(crate) const FORKED: u8 = 2;

/// The byte of `id`; all bits where the number is beyond the array.
#[inline(always)]
pub(crate) fn bits(hints: &Hints, id: u32) -> u8 {
    // SAFETY: as above.
    byte(hints, id).map_or(u8::MAX, |byte| unsafe { byte.read_volatile() })
}

/// Sets one more bit of the byte of `id`, which nobody clears meanwhile.
#[inline(always)]
pub(crate) fn add(hints: &Hints, id: u32, bit: u8) {
    if let Some(byte) = byte(hints, id) {
        // SAFETY: as above. Others that set a bit meanwhile set the same.
        unsafe { byte.write_volatile(byte.read_volatile() | bit) }
    }
}

/// Notes that the table has got an entry of `id`.
#[inline(always)]
pub(crate) fn note(hints: &Hints, id: u32) {
    if let Some(byte) = byte(hints, id) {
        // SAFETY: as above.
        unsafe { byte.write_volatile(1) }
    }
}

/// Notes that the table has no entry of `id` any more.
#[inline(always)]
pub(crate) fn clear(hints: &Hints, id: u32) {
    if let Some(byte) = byte(hints, id) {
        // SAFETY: as above.
        unsafe { byte.write_volatile(0) }
    }
}

/// The byte of `id`; 0 beyond the array.
#[inline(always)]
pub(crate) fn value(hints: &Hints, id: u32) -> u8 {
    // SAFETY: as above.
    byte(hints, id).map_or(0, |byte| unsafe { byte.read_volatile() })
}

/// Changes the byte of `id` to another number that is not zero.
#[inline(always)]
pub(crate) fn advance(hints: &Hints, id: u32) {
    if let Some(byte) = byte(hints, id) {
        // SAFETY: as above; only the process itself changes it, and threads that fork at once make it
        // another number all the same.
        unsafe { byte.write_volatile(byte.read_volatile() % u8::MAX + 1) }
    }
}

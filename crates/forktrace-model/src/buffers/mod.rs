//! Buffers of text that was not written yet, as they lie in the memory of a process.
//!
//! Fork copies such a buffer. What is in it is written by each process that flushes it: by `fflush`, by more
//! output, or at `exit`. One file per library; each says where its layout is from. What bytes must be like to
//! be taken for a buffer is so much that other bytes are not.

mod glibc;
mod musl;
mod python;
#[cfg(test)]
mod tests;

use crate::event::{BufferKind, BufferState};

/// Most bytes in a buffer that are believed.
const MOST_BYTES: u64 = 64 << 20;
/// Bytes from the first of an object on that are read.
pub const EXTENT: usize = 240;

/// A buffer with bytes that were not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritten {
    /// Whose.
    pub kind: BufferKind,
    /// Address of the object.
    pub address: u64,
    /// How many bytes were not written.
    pub bytes: u64,
    /// Where these begin; of a list of texts, where the list is.
    pub start: u64,
    /// The descriptor, where the object has it itself.
    pub fd: Option<i32>,
    /// Address of the object that has the descriptor, or leads to it.
    pub inner: Option<u64>,
    /// Address that says what the object is: a table of functions, or a type.
    pub class: u64,
    /// Address of the function that writes, where the object has one itself; otherwise zero.
    pub writer: u64,
}

/// The words of an object.
struct Object<'a>(&'a [u8]);

impl Object<'_> {
    fn long(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(self.0.get(at..at.checked_add(8)?)?.try_into().ok()?))
    }

    fn int(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.0.get(at..at.checked_add(4)?)?.try_into().ok()?))
    }

    /// A pointer into user memory, aligned to words; never zero.
    fn pointer(&self, at: usize) -> Option<u64> {
        self.long(at).filter(|value| (1 << 12..1 << 56).contains(value) && value % 8 == 0)
    }
}

/// The buffer at `address`, whose first bytes these are; `None`: there is none, or all of it was written.
pub fn at(address: u64, bytes: &[u8]) -> Option<Unwritten> {
    let object = Object(bytes);
    glibc::unwritten(address, &object)
        .or_else(|| python::unwritten(address, &object))
        .or_else(|| musl::unwritten(address, &object))
}

/// The buffers that begin in `bytes`, the memory from `start` on; of those that lie beyond the end nothing is
/// said.
pub fn within(start: u64, bytes: &[u8]) -> Vec<Unwritten> {
    let places = (0..bytes.len()).step_by(8);
    let found = places.filter_map(|place| {
        let rest = bytes.get(place..)?;
        may_begin(rest).then_some(())?;
        at(start.checked_add(place as u64)?, rest)
    });
    found.collect()
}

/// The buffers that begin in pages of memory, each with the address of its first byte, in ascending order. An object
/// may go on behind its page: in the next one of `pages`, or else in what `behind` gives for its address.
pub fn in_pages<P: AsRef<[u8]>>(
    pages: impl Iterator<Item = (u64, P)>,
    behind: impl Fn(u64) -> Option<Vec<u8>>,
) -> impl Iterator<Item = Unwritten> {
    let mut pages = pages.peekable();
    let of_each = std::iter::from_fn(move || {
        let (start, page) = pages.next()?;
        let mut bytes = page.as_ref().to_vec();
        let end = start.saturating_add(bytes.len() as u64);
        let head = |bytes: &[u8]| bytes.iter().take(EXTENT).copied().collect::<Vec<u8>>();
        let next =
            pages.peek().filter(|(next, _)| *next == end).map(|(_, next)| head(next.as_ref()));
        bytes.extend(next.or_else(|| behind(end).map(|next| head(&next))).unwrap_or_default());
        Some(within(start, &bytes).into_iter().filter(move |one| one.address < end))
    });
    of_each.flatten()
}

/// Whether a buffer may begin with these bytes: cheap, and true of few others.
pub fn may_begin(bytes: &[u8]) -> bool {
    let Some(first) = bytes.first_chunk() else { return false };
    let first = u64::from_le_bytes(*first);
    let object = Object(bytes);
    // Most words are zero, or pointers, and there are many.
    if first == 0 {
        return musl::may_begin(&object);
    }
    if first & 0xff00_0000 != 0 && !glibc::is_magic(first) {
        return false;
    }
    glibc::may_begin(&object) || python::may_begin(&object) || musl::may_begin(&object)
}

/// What became of a buffer, as its bytes are now.
pub fn state(then: &Unwritten, bytes: &[u8]) -> BufferState {
    let Some(now) = at(then.address, bytes) else {
        let object = Object(bytes);
        let is_there = match then.kind {
            BufferKind::Glibc => glibc::is_stream(&object),
            BufferKind::Musl => musl::is_stream(&object),
            BufferKind::PythonText | BufferKind::PythonBytes => python::is_file(then, &object),
            BufferKind::Unknown => false,
        };
        return if is_there { BufferState::Emptied } else { BufferState::Unknown };
    };
    if now.kind != then.kind || now.class != then.class {
        return BufferState::Unknown;
    }
    // A list of texts may be another one, with the same and more in it.
    let same_start = now.start == then.start || then.kind == BufferKind::PythonText;
    match same_start {
        true if now.bytes == then.bytes => BufferState::Same,
        true if now.bytes > then.bytes => BufferState::Added,
        _ => BufferState::Emptied,
    }
}

/// What the first write to a buffer's own object since the fork says, where that was by `function`, and to
/// `address`.
pub fn by_first_write(then: &Unwritten, address: u64, function: Wrote) -> BufferState {
    match (then.kind, function, address.checked_sub(then.address)) {
        (BufferKind::Glibc, Wrote::Flush, Some(offset)) if offset < EXTENT as u64 => {
            BufferState::Written
        }
        (BufferKind::Musl, Wrote::Flush, Some(offset)) if musl::is_flush(offset) => {
            BufferState::Written
        }
        (BufferKind::Musl, _, Some(offset)) if musl::is_addition(offset) => BufferState::Added,
        (_, Wrote::Purge, _) => BufferState::Unknown,
        _ => BufferState::Touched,
    }
}

/// The function that made a write, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// The one of the C library that takes note of what `write(2)` has taken.
    Flush,
    /// The one that throws away what was not written.
    Purge,
    /// Any other.
    Other,
}

//! `io.BufferedWriter` and `io.TextIOWrapper` of CPython.
//!
//! `buffered` (`Modules/_io/bufferedio.c`) and `textio` (`Modules/_io/textio.c`), CPython 3.8 to 3.14, behind
//! the object's head of two words. What was not written are the bytes from `write_pos` to `write_end` of the
//! one, and `pending_bytes_count` of the other, which keeps texts until there are `chunk_size` bytes of them.

use super::{MOST_BYTES, Object, Unwritten};
use crate::event::BufferKind;

/// Most references that are believed.
const MOST_REFERENCES: u64 = 1 << 24;
const TYPE: usize = 8;

/// Of `buffered`.
mod bytes {
    pub(super) const RAW: usize = 16;
    pub(super) const OK: usize = 24;
    pub(super) const DETACHED: usize = 28;
    pub(super) const READABLE: usize = 32;
    pub(super) const WRITABLE: usize = 36;
    pub(super) const BUFFER: usize = 56;
    pub(super) const WRITE_POS: usize = 88;
    pub(super) const WRITE_END: usize = 96;
    pub(super) const SIZE: usize = 120;
}

/// Of `textio`.
mod text {
    pub(super) const OK: usize = 16;
    pub(super) const DETACHED: usize = 20;
    pub(super) const CHUNK_SIZE: usize = 24;
    pub(super) const BUFFER: usize = 32;
    pub(super) const ENCODING: usize = 40;
    pub(super) const ENCODER: usize = 48;
    pub(super) const PENDING: usize = 136;
    pub(super) const COUNT: usize = 144;
}

fn is_object(object: &Object<'_>) -> bool {
    object.long(0).is_some_and(|count| (1..MOST_REFERENCES).contains(&count))
        && object.pointer(TYPE).is_some()
}

fn is_bytes(object: &Object<'_>) -> bool {
    let flag = |at: usize| object.int(at);
    flag(bytes::OK) == Some(1)
        && flag(bytes::DETACHED) == Some(0)
        && flag(bytes::READABLE).is_some_and(|flag| flag <= 1)
        && flag(bytes::WRITABLE) == Some(1)
        && object.pointer(bytes::RAW).is_some()
        && object.pointer(bytes::BUFFER).is_some()
        && object.long(bytes::SIZE).is_some_and(|size| (1..=MOST_BYTES).contains(&size))
}

fn is_text(object: &Object<'_>) -> bool {
    object.int(text::OK) == Some(1)
        && object.int(text::DETACHED) == Some(0)
        && object.long(text::CHUNK_SIZE).is_some_and(|size| (1..=MOST_BYTES).contains(&size))
        && [text::BUFFER, text::ENCODING, text::ENCODER]
            .iter()
            .all(|at| object.pointer(*at).is_some())
}

pub(super) fn may_begin(object: &Object<'_>) -> bool {
    is_object(object) && (is_text(object) || is_bytes(object))
}

pub(super) fn unwritten(address: u64, object: &Object<'_>) -> Option<Unwritten> {
    is_object(object).then_some(())?;
    let class = object.pointer(TYPE)?;
    if is_bytes(object) {
        let (start, end) = (object.long(bytes::WRITE_POS)?, object.long(bytes::WRITE_END)?);
        let size = object.long(bytes::SIZE)?;
        let count = end.checked_sub(start).filter(|count| (1..=size).contains(count))?;
        (end <= size).then_some(())?;
        let inner = object.pointer(bytes::RAW);
        let kind = BufferKind::PythonBytes;
        return Some(Unwritten {
            kind,
            address,
            bytes: count,
            start,
            fd: None,
            inner,
            class,
            writer: 0,
        });
    }
    is_text(object).then_some(())?;
    let start = object.pointer(text::PENDING)?;
    let count = object.long(text::COUNT).filter(|count| (1..=MOST_BYTES).contains(count))?;
    let inner = object.pointer(text::BUFFER);
    let kind = BufferKind::PythonText;
    Some(Unwritten { kind, address, bytes: count, start, fd: None, inner, class, writer: 0 })
}

/// Whether it is still the same sort of object, with or without something in its buffer.
pub(super) fn is_file(then: &Unwritten, object: &Object<'_>) -> bool {
    let same = object.long(TYPE) == Some(then.class);
    same && is_object(object)
        && match then.kind {
            BufferKind::PythonText => is_text(object),
            _ => is_bytes(object),
        }
}

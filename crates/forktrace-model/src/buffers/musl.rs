//! `FILE` of musl.
//!
//! `struct _IO_FILE` (`src/internal/stdio_impl.h`, musl 1.2.3 and 1.2.5; the two words that must be zero are
//! there for programs of before 1.0). A stream that is written to has `wend` at the end of its buffer
//! (`__towrite`), and what was not written lies from `wbase` to `wpos`. `__stdio_write` sets `wbase` first
//! when all was taken; to add text changes `wpos` alone (`__fwritex`, `putc`), and that of a single byte
//! nothing else.

use super::{MOST_BYTES, Object, Unwritten};
use crate::event::BufferKind;

/// `F_NOWR` and all flags (`F_PERM` to `F_APP`).
const NO_WRITES: u32 = 8;
const FLAGS: u32 = 0xff;
const RPOS: usize = 8;
const REND: usize = 16;
const CLOSE: usize = 24;
const WEND: usize = 32;
const WPOS: usize = 40;
const ZERO: usize = 48;
const WBASE: usize = 56;
const WRITE: usize = 72;
const SEEK: usize = 80;
const BUF: usize = 88;
const BUF_SIZE: usize = 96;
const FD: usize = 120;
const OTHER_ZERO: usize = 176;
/// Most descriptors that are believed.
const MOST_FD: i32 = 1 << 20;

pub(super) fn may_begin(object: &Object<'_>) -> bool {
    let word = |at: usize| object.long(at);
    let flags = || object.int(0).unwrap_or(u32::MAX);
    word(WBASE).is_some_and(|base| base != 0)
        && flags() & (!FLAGS | NO_WRITES) == 0
        && word(WBASE) == word(BUF)
        && word(RPOS) == Some(0)
        && word(ZERO) == Some(0)
}

pub(super) fn unwritten(address: u64, object: &Object<'_>) -> Option<Unwritten> {
    may_begin(object).then_some(())?;
    let (base, end, last) = (object.long(WBASE)?, object.long(WPOS)?, object.long(WEND)?);
    let size = object.long(BUF_SIZE)?;
    let bytes = end.checked_sub(base).filter(|bytes| (1..=size.min(MOST_BYTES)).contains(bytes))?;
    let fits = (last == base || last == base.checked_add(size)?)
        && object.long(REND)? == 0
        && object.long(CLOSE)? != 0
        && object.long(SEEK)? != 0
        && object.long(OTHER_ZERO)? == 0;
    let fd = object.int(FD)?.cast_signed();
    let writer = object.long(WRITE).filter(|write| *write >= 1 << 12)?;
    (fits && (0..MOST_FD).contains(&fd)).then_some(Unwritten {
        kind: BufferKind::Musl,
        address,
        bytes,
        start: base,
        fd: Some(fd),
        inner: None,
        // Which function writes changes at the first write to standard output (`__stdout_write`).
        class: 0,
        writer,
    })
}

/// Whether it is a stream, with or without something in its buffer.
pub(super) fn is_stream(object: &Object<'_>) -> bool {
    let zero = |at: usize| object.long(at) == Some(0);
    object.int(0).is_some_and(|flags| flags & !FLAGS == 0)
        && zero(ZERO)
        && zero(OTHER_ZERO)
        && object.long(WRITE).is_some_and(|write| write != 0)
        && object.long(BUF).is_some_and(|buf| buf != 0)
}

/// Whether the first member that was written says that the buffer was written out: `wbase`, or which
/// function writes (`__stdout_write`, at the first write to standard output).
pub(super) fn is_flush(offset: u64) -> bool {
    offset == WBASE as u64 || offset == WRITE as u64
}

/// Whether it says that text was added: `wpos`, or bytes of the buffer.
pub(super) fn is_addition(offset: u64) -> bool {
    offset == WPOS as u64
}

//! `FILE` of glibc.
//!
//! `struct _IO_FILE` (`libio/bits/types/struct_FILE.h`) with the flags of `libio/libio.h`, and the pointer to
//! its functions behind it (`struct _IO_FILE_plus`, `libio/libioP.h`), glibc 2.36 and 2.42. A stream that is
//! written to has `_IO_CURRENTLY_PUTTING` set, and what was not written lies from `_IO_write_base` to
//! `_IO_write_ptr` (`_IO_new_file_overflow` and `new_do_write`, `libio/fileops.c`). Wide streams keep theirs
//! elsewhere and are not read.

use super::{MOST_BYTES, Object, Unwritten};
use crate::event::BufferKind;

/// `_IO_MAGIC`, in the upper half of the flags.
const MAGIC: u32 = 0xfbad_0000;
const UNBUFFERED: u32 = 0x2;
const NO_WRITES: u32 = 0x8;
const CURRENTLY_PUTTING: u32 = 0x800;
/// Of a file: streams in memory do not have it.
const IS_FILEBUF: u32 = 0x2000;
const WRITE_BASE: usize = 0x20;
const WRITE_PTR: usize = 0x28;
const BUF_BASE: usize = 0x38;
const BUF_END: usize = 0x40;
const FILENO: usize = 0x70;
const MODE: usize = 0xc0;
const VTABLE: usize = 0xd8;

/// Whether the first word may be that of a stream.
pub(super) fn is_magic(first: u64) -> bool {
    first & 0xffff_0000 == u64::from(MAGIC)
}

pub(super) fn may_begin(object: &Object<'_>) -> bool {
    let wanted = MAGIC | CURRENTLY_PUTTING | IS_FILEBUF;
    let unwanted = UNBUFFERED | NO_WRITES;
    object.int(0).is_some_and(|flags| {
        flags & (0xffff_0000 | wanted | unwanted) == wanted && flags >> 16 == MAGIC >> 16
    })
}

pub(super) fn unwritten(address: u64, object: &Object<'_>) -> Option<Unwritten> {
    may_begin(object).then_some(())?;
    let (base, end) = (object.long(WRITE_BASE)?, object.long(WRITE_PTR)?);
    let (first, last) = (object.long(BUF_BASE)?, object.long(BUF_END)?);
    let size = last.checked_sub(first).filter(|size| *size <= MOST_BYTES)?;
    let bytes = end.checked_sub(base).filter(|bytes| (1..=size).contains(bytes))?;
    let fd = object.int(FILENO)?.cast_signed();
    let narrow = object.int(MODE)?.cast_signed() <= 0;
    let class = object.pointer(VTABLE)?;
    let fits = first != 0 && first <= base && end <= last && fd >= 0 && narrow;
    fits.then_some(Unwritten {
        kind: BufferKind::Glibc,
        address,
        bytes,
        start: base,
        fd: Some(fd),
        inner: None,
        class,
        writer: 0,
    })
}

/// Whether it is a stream, with or without something in its buffer.
pub(super) fn is_stream(object: &Object<'_>) -> bool {
    object.int(0).is_some_and(|flags| flags & (MAGIC | IS_FILEBUF) == MAGIC | IS_FILEBUF)
        && object.pointer(VTABLE).is_some()
}

//! Reading many small things of one process's memory.

use std::{fs::File, os::unix::fs::FileExt as _};

/// Longest text that is read.
const MAX_TEXT: usize = 64;

/// A process's memory. What cannot be read is `None`; every read is short.
pub(super) struct Remote(File);

impl Remote {
    /// Memory that a file holds instead.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn of_file(file: File) -> Self {
        Remote(file)
    }

    pub(super) fn open(pid: u32) -> Option<Self> {
        File::open(format!("/proc/{pid}/mem")).ok().map(Remote)
    }

    /// Exactly `N` bytes.
    pub(super) fn bytes<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }

    /// The words of a stretch, as many as can be read.
    pub(super) fn longs(&self, address: u64, count: usize) -> Vec<u64> {
        let mut bytes = vec![0; count.saturating_mul(8)];
        let read = self.0.read_at(&mut bytes, address).unwrap_or_default();
        let (words, _) = bytes.get(..read).unwrap_or_default().as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word)).collect()
    }

    pub(super) fn long(&self, address: u64) -> Option<u64> {
        self.bytes(address).map(u64::from_le_bytes)
    }

    pub(super) fn int(&self, address: u64) -> Option<u32> {
        self.bytes(address).map(u32::from_le_bytes)
    }

    /// A NUL-terminated ASCII text.
    pub(super) fn text(&self, address: u64) -> Option<String> {
        let mut bytes = [0; MAX_TEXT];
        let read = self.0.read_at(&mut bytes, address).ok()?;
        let text = bytes.get(..read)?.split(|byte| *byte == 0).next()?;
        text.is_ascii().then(|| String::from_utf8_lossy(text).into_owned())
    }

    /// `tp_name` of an object's type: `PyObject` is reference count and type, `PyTypeObject` is a
    /// `PyVarObject` (24 bytes), then `tp_name` (`Include/object.h` and `Include/cpython/object.h`,
    /// CPython 3.8 to 3.12).
    pub(super) fn type_name(&self, object: u64) -> Option<String> {
        let kind = self.long(object.checked_add(8)?)?;
        self.text(self.long(kind.checked_add(24)?)?)
    }
}

/// Whether a word can be the address of an object: `malloc` and `pymalloc` align to 16 bytes, and
/// user space ends at 47 bits.
pub(super) fn is_object(word: u64) -> bool {
    word.is_multiple_of(16) && (0x1_0000..1 << 47).contains(&word)
}

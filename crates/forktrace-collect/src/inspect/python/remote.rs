//! Reading many small things of one process's memory.

use std::{cell::Cell, fs::File, os::unix::fs::FileExt as _};

use crate::{arch::HOST, inspect::kcmp};

/// Longest text that is read.
const MAX_TEXT: usize = 64;
/// Longest `str` that is read: a path.
const MAX_STRING: usize = 4096;
/// Offsets in a `str`, and the bits of its state that say that ASCII characters follow.
const STR_LENGTH: u64 = 16;
const STR_STATE: u64 = 32;
const STR_TEXT: u64 = 48;
const COMPACT_ASCII: u32 = 0b11 << 5;
/// Most reads of one process: some seconds' worth, and ten times what 100 threads of 60 frames need.
const MAX_READS: u32 = 4_000_000;

/// A process's memory. What cannot be read is `None`; every read is short.
pub(super) struct Remote {
    memory: Memory,
    /// How many more reads there may be. Structures that a process laid out in circles would take
    /// many millions.
    left: Cell<u32>,
}

/// Where it is read.
enum Memory {
    /// `/proc/<pid>/mem`.
    File(File),
    /// At hand, from this address on.
    #[cfg(any(test, feature = "fuzzing"))]
    Bytes(u64, Vec<u8>),
}

impl Memory {
    fn read_at(&self, bytes: &mut [u8], address: u64) -> Option<usize> {
        match self {
            Memory::File(file) => file.read_at(bytes, address).ok(),
            #[cfg(any(test, feature = "fuzzing"))]
            Memory::Bytes(start, memory) => {
                let at = usize::try_from(address.checked_sub(*start)?).ok()?;
                let rest = memory.get(at..).filter(|rest| !rest.is_empty())?;
                Some(rest.iter().zip(bytes).map(|(from, to)| *to = *from).count())
            }
        }
    }
}

impl Remote {
    /// Memory at hand that begins at `start`, for so many reads.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn of_bytes(start: u64, memory: Vec<u8>, reads: u32) -> Self {
        Remote { memory: Memory::Bytes(start, memory), left: Cell::new(reads) }
    }

    pub(super) fn open(pid: u32) -> Option<Self> {
        let shown = kcmp::shown(pid);
        let memory = File::open(format!("/proc/{shown}/mem")).ok()?;
        Some(Remote { memory: Memory::File(memory), left: Cell::new(MAX_READS) })
    }

    /// Reads up to the bytes' length, as many as can be. `None`: nothing, or no more is to be read.
    fn read(&self, bytes: &mut [u8], address: u64) -> Option<usize> {
        self.left.set(self.left.get().checked_sub(1)?);
        self.memory.read_at(bytes, address)
    }

    /// Exactly `N` bytes.
    pub(super) fn bytes<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // A read of memory is short only where the memory ends.
        (self.read(&mut bytes, address)? == N).then_some(bytes)
    }

    /// The words of a stretch, as many as can be read.
    pub(super) fn longs(&self, address: u64, count: usize) -> Vec<u64> {
        let mut bytes = vec![0; count.saturating_mul(8)];
        let read = self.read(&mut bytes, address).unwrap_or_default();
        let (words, _) = bytes.get(..read).unwrap_or_default().as_chunks::<8>();
        words.iter().map(|word| u64::from_le_bytes(*word)).collect()
    }

    pub(super) fn long(&self, address: u64) -> Option<u64> {
        self.bytes(address).map(u64::from_le_bytes)
    }

    pub(super) fn int(&self, address: u64) -> Option<u32> {
        self.bytes(address).map(u32::from_le_bytes)
    }

    /// So many bytes.
    pub(super) fn some(&self, address: u64, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        (self.read(&mut bytes, address)? == count).then_some(bytes)
    }

    /// A `str` of ASCII: length and state, then its characters (`PyASCIIObject`,
    /// `Include/cpython/unicodeobject.h`, CPython 3.8 to 3.11).
    pub(super) fn string(&self, object: u64) -> Option<String> {
        let length = usize::try_from(self.long(object.checked_add(STR_LENGTH)?)?).ok()?;
        let is_ascii = self.int(object.checked_add(STR_STATE)?)? & COMPACT_ASCII == COMPACT_ASCII;
        let length = Some(length).filter(|length| is_ascii && *length <= MAX_STRING)?;
        String::from_utf8(self.some(object.checked_add(STR_TEXT)?, length)?).ok()
    }

    /// A NUL-terminated ASCII text.
    pub(super) fn text(&self, address: u64) -> Option<String> {
        let mut bytes = [0; MAX_TEXT];
        let read = self.read(&mut bytes, address)?;
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

/// Whether a word can be the address of an object: `malloc` and `pymalloc` align to 16 bytes.
pub(super) fn is_object(word: u64) -> bool {
    word.is_multiple_of(16) && (0x1_0000..HOST.facts.address_limit).contains(&word)
}

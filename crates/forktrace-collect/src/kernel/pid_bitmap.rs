//! The bytes that tell the programs which tasks may be in a table, see `forktrace_common::maps`.

use aya::Ebpf;
use forktrace_common::maps::HINT_CHUNK;

use super::{Error, mapped::Mapped};

/// One array of hints: the programs write single bytes of it at the same time.
pub(super) struct Hints(Mapped);

impl Hints {
    /// Maps the array `name`.
    ///
    /// # Errors
    /// When the kernel does not map it.
    pub(super) fn open(ebpf: &Ebpf, name: &str) -> Result<Self, Error> {
        Mapped::open(ebpf, name, HINT_CHUNK).map(Hints)
    }

    /// Says that the table may have an entry of task `id`. The programs do not ask about a number
    /// beyond the array.
    pub(super) fn note(&self, id: u32) {
        self.0.set_byte(id as usize, 1);
    }

    /// Says that the table has no entry of task `id` any more.
    pub(super) fn clear(&self, id: u32) {
        self.0.set_byte(id as usize, 0);
    }
}

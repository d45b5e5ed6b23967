//! How much memory this process has.

use std::{fs::File, os::unix::fs::FileExt as _};

/// Reads the resident memory of this process, in a microsecond each time.
#[derive(Debug)]
pub(crate) struct Resident {
    /// `None`: it cannot be watched.
    statm: Option<File>,
}

impl Resident {
    pub(crate) fn open() -> Self {
        Resident { statm: File::open("/proc/self/statm").ok() }
    }

    /// Bytes; `None`: not known. The second number of `statm`, in pages (proc(5)).
    pub(crate) fn bytes(&self) -> Option<u64> {
        let mut text = [0; 64];
        let read = self.statm.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..read)?).ok()?;
        let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
        pages.checked_mul(procfs::page_size())
    }
}

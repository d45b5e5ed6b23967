//! The bytes that tell the programs which tasks may be in a table, see `forktrace_common::maps`.

use std::{
    os::fd::AsFd as _,
    sync::atomic::{AtomicU8, Ordering},
};

use aya::maps::MapData;
use forktrace_common::maps::HINT_CHUNK;
use memmap2::{MmapOptions, MmapRaw};

use super::{Error, error::refused};

/// One array of hints, mapped: the programs write single bytes of it at the same time.
pub(super) struct Hints(MmapRaw);

impl Hints {
    /// Maps `map`, the array `name`.
    ///
    /// # Errors
    /// When the kernel does not map it.
    pub(super) fn map(map: &MapData, name: &str) -> Result<Self, Error> {
        let what = format!("map {name}");
        let entries = map.info().map_err(|error| refused(&what, &error))?.max_entries();
        let bytes = HINT_CHUNK.saturating_mul(entries as usize);
        let mapped = MmapOptions::new().len(bytes).map_raw(&map.fd().as_fd());
        mapped.map(Hints).map_err(|error| refused(&what, &error))
    }

    /// Says that the table may have an entry of task `id`. The programs do not ask about a number
    /// beyond the array.
    pub(super) fn note(&self, id: u32) {
        self.set(id, 1);
    }

    /// Says that the table has no entry of task `id` any more.
    pub(super) fn clear(&self, id: u32) {
        self.set(id, 0);
    }

    fn set(&self, id: u32, value: u8) {
        let index = id as usize;
        if index < self.0.len() {
            // SAFETY: inside of the mapping, which lives as long as this; everybody writes single
            // bytes.
            unsafe { AtomicU8::from_ptr(self.0.as_mut_ptr().add(index)) }
                .store(value, Ordering::Release);
        }
    }
}

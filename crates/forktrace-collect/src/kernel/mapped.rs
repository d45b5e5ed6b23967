//! Arrays of the programs that are mapped: both sides read and write them at the same time.

use std::{
    os::fd::AsFd as _,
    sync::atomic::{AtomicU8, AtomicU64, Ordering},
};

use aya::{Ebpf, maps::Map};
use memmap2::{MmapOptions, MmapRaw};

use super::{Error, error::refused};

/// One array, whole.
pub(super) struct Mapped(MmapRaw);

impl Mapped {
    /// Maps the array `name`, which stays where it is: programs that are loaded later need its
    /// descriptor. `entry`: bytes of an entry, a multiple of 8.
    ///
    /// # Errors
    /// When there is no such array, or the kernel does not map it.
    pub(super) fn open(ebpf: &Ebpf, name: &str, entry: usize) -> Result<Self, Error> {
        let what = format!("map {name}");
        let Some(Map::Array(map)) = ebpf.map(name) else {
            return Err(refused(&what, &"it is no array"));
        };
        let entries = map.info().map_err(|error| refused(&what, &error))?.max_entries();
        let bytes = entry.saturating_mul(entries as usize);
        let mapped = MmapOptions::new().len(bytes).map_raw(&map.fd().as_fd());
        mapped.map(Mapped).map_err(|error| refused(&what, &error))
    }

    /// Its bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Sets a byte; nothing happens beyond the end.
    pub(super) fn set_byte(&self, at: usize, value: u8) {
        if at < self.0.len() {
            // SAFETY: inside of the mapping, which lives as long as this; everybody writes single
            // bytes of this array.
            unsafe { AtomicU8::from_ptr(self.0.as_mut_ptr().add(at)) }
                .store(value, Ordering::Release);
        }
    }

    /// The `index`-th word of 8 bytes; zero beyond the end.
    pub(super) fn word(&self, index: usize) -> u64 {
        self.word_at(index).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Sets the `index`-th word; nothing happens beyond the end.
    pub(super) fn set_word(&self, index: usize, value: u64) {
        if let Some(word) = self.word_at(index) {
            word.store(value, Ordering::Release);
        }
    }

    fn word_at(&self, index: usize) -> Option<&AtomicU64> {
        let words = self.0.len() / size_of::<AtomicU64>();
        // SAFETY: inside of the mapping, which begins with a page and lives as long as this. The
        // programs write whole words or halves of them.
        (index < words)
            .then(|| unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().cast::<u64>().add(index)) })
    }
}

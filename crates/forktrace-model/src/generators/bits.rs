//! Memory at the fork and now, side by side, and what bits look like.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Hit, Memory, When};
use crate::event::GeneratorKind;

/// What reading a place takes.
const READ_WORK: u64 = 100;

/// The memory of a process as generators read it.
pub(super) struct Pair<'a> {
    memory: &'a mut dyn Memory,
    /// What was done so far, in steps of a nanosecond or so.
    pub(super) work: u64,
}

/// The same place at the fork and now.
pub(super) struct Window<T> {
    pub(super) then: T,
    pub(super) now: T,
}

impl<'a> Pair<'a> {
    pub(super) fn new(memory: &'a mut dyn Memory) -> Self {
        Pair { memory, work: 0 }
    }

    /// `N` words of 32 bits.
    pub(super) fn words<const N: usize>(&mut self, address: u64) -> Option<Window<[u32; N]>> {
        let bytes = self.bytes(address, N * 4)?;
        Some(Window { then: words(&bytes.then), now: words(&bytes.now) })
    }

    /// `N` words of 64 bits.
    pub(super) fn longs<const N: usize>(&mut self, address: u64) -> Option<Window<[u64; N]>> {
        let bytes = self.bytes(address, N * 8)?;
        Some(Window { then: longs(&bytes.then), now: longs(&bytes.now) })
    }

    /// `len` bytes.
    pub(super) fn bytes(&mut self, address: u64, len: usize) -> Option<Window<Vec<u8>>> {
        self.work += READ_WORK + len as u64;
        let mut read = |when| {
            let mut bytes = vec![0; len];
            self.memory.read(when, address, &mut bytes).then_some(bytes)
        };
        Some(Window { then: read(When::Fork)?, now: read(When::Now)? })
    }

    /// A number of 32 bits.
    pub(super) fn word(&mut self, address: u64) -> Option<Window<u32>> {
        let Window { then: [then], now: [now] } = self.words::<1>(address)?;
        Some(Window { then, now })
    }

    /// A number of 64 bits.
    pub(super) fn long(&mut self, address: u64) -> Option<Window<u64>> {
        let Window { then: [then], now: [now] } = self.longs::<1>(address)?;
        Some(Window { then, now })
    }
}

/// Little-endian words; what is missing is zero.
pub(super) fn words<const N: usize>(bytes: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    words
}

/// Little-endian words of 64 bits; what is missing is zero.
pub(super) fn longs<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut longs = [0; N];
    for (long, bytes) in longs.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *long = u64::from_le_bytes(*bytes);
    }
    longs
}

/// Whether a number may be a part of a generator's state: no address of user space, no small number.
/// Of random numbers one in 16,000 is refused.
pub(super) fn looks_random(number: u64) -> bool {
    let top = number >> 48;
    top != 0 && top != 0xffff && (16..=48).contains(&number.count_ones())
}

/// The same of 32 bits; of random numbers one in 5,000 is refused.
pub(super) fn word_looks_random(number: u32) -> bool {
    (6..=26).contains(&number.count_ones()) && number >> 20 != 0
}

/// The hit of a generator that was found `steps` on, of whose state `state` bits were compared.
pub(super) fn hit(
    kind: GeneratorKind,
    address: u64,
    steps: u64,
    state: u32,
    inherited: impl Hash,
) -> Option<Hit> {
    let tried = u64::BITS - steps.leading_zeros();
    let inherited = fingerprint(inherited);
    let bits = state.saturating_sub(tried);
    (steps > 0).then_some(Hit { kind, address, steps, bits, inherited })
}

/// Names a state. The same in one run of forktrace only.
pub(super) fn fingerprint(state: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

//! Known random number generators in memory: does a step of a generator lead from the bytes at a fork to
//! the bytes now?
//!
//! Pure: memory in, hits out. A generator is one file with the source of its layout and of its step.
//! [`search`] goes through the pages that a process has written since its fork and asks each generator
//! about what has changed there; [`test`] asks about one place, in another process for example. A hit
//! says how many bits of the new state are as the steps make them, beyond what chance explains: the
//! number of steps tried is subtracted. Nothing is guessed from the look of the bytes alone.

mod additive;
mod bits;
mod chacha;
mod lcg;
mod mt19937;
mod mt19937_64;
mod pcg;
mod philox;
mod search;
mod sfc64;
#[cfg(test)]
mod tests;
mod twister;
mod xorshift;

use crate::event::GeneratorKind;
use bits::Pair;

pub use search::{Search, search};

/// Bytes of a page that is searched.
pub const PAGE: usize = 4096;

/// Which of the two states of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// As the process inherited it.
    Fork,
    /// As it is now.
    Now,
}

/// The memory of a process, at its fork and now.
pub trait Memory {
    /// Fills `bytes` with what is at `address`; false: it is not known.
    fn read(&mut self, when: When, address: u64, bytes: &mut [u8]) -> bool;
}

/// A generator that has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Its algorithm.
    pub kind: GeneratorKind,
    /// Address of its state.
    pub address: u64,
    /// How many steps lead from the inherited state to the one now, at least.
    pub steps: u64,
    /// How many bits of the new state are as the steps make them, beyond what chance explains. Zero: only
    /// a position moved.
    pub bits: u32,
    /// Names the inherited state: two processes with the same one have inherited the same state, up to a
    /// chance of 2^-64.
    pub inherited: u64,
}

/// What a generator is asked about one place.
type Test = fn(&mut Pair<'_>, u64) -> Option<Hit>;

/// Asks the generator of this kind whether it lies at `address` and has moved.
pub fn test(kind: GeneratorKind, memory: &mut dyn Memory, address: u64) -> Option<Hit> {
    let mut pair = Pair::new(memory);
    let test: Test = match kind {
        GeneratorKind::Mt19937 => mt19937::test,
        GeneratorKind::Mt19937x64 => mt19937_64::test,
        GeneratorKind::Pcg64 => pcg::test_64,
        GeneratorKind::Pcg64Dxsm => pcg::test_dxsm,
        GeneratorKind::Pcg32 => pcg::test_32,
        GeneratorKind::Philox => philox::test,
        GeneratorKind::Sfc64 => sfc64::test,
        GeneratorKind::Xoshiro256 => xorshift::test_xoshiro256,
        GeneratorKind::Xoshiro128 => xorshift::test_xoshiro128,
        GeneratorKind::Xoroshiro128 => xorshift::test_xoroshiro128,
        GeneratorKind::Xorshift128Plus => xorshift::test_xorshift128_plus,
        GeneratorKind::Xorshift128 => xorshift::test_xorshift128,
        GeneratorKind::Additive => additive::test,
        GeneratorKind::Lcg48 => lcg::test_48,
        GeneratorKind::Lcg64 => lcg::test_64,
        GeneratorKind::ChaCha => chacha::test,
        GeneratorKind::Unknown => return None,
    };
    test(&mut pair, address)
}

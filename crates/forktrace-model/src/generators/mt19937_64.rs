//! The Mersenne Twister of 64-bit words (T. Nishimura, `mt19937-64.c`, 2004): 312 words and a position.
//!
//! `std::mt19937_64` has the words and a `size_t` after them (`bits/random.h`, GCC 12). It makes 312 new
//! words at once; in between only the position moves.

use super::{
    Hit,
    bits::{Pair, hit, looks_random},
    twister::{MOST_REFILLS, twister},
};
use crate::event::GeneratorKind;

/// Words of the state, and the distance of the word that is mixed in.
pub(super) const N: usize = 312;
const M: usize = 156;
const MATRIX: u64 = 0xb502_6f5a_a966_19e9;
const UPPER: u64 = 0xffff_ffff_8000_0000;
const LOWER: u64 = 0x7fff_ffff;

/// Words of a state that must look random.
const RANDOM: usize = N - 4;

// A seed: `init_genrand64`.
twister!(u64, 6_364_136_223_846_793_005, 62);

/// `address`: of the first word.
pub(super) fn test(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    let words = pair.longs::<N>(address)?;
    if words.now.iter().filter(|word| looks_random(**word)).count() < RANDOM {
        return None;
    }
    let position = pair.long(address.checked_add(N as u64 * 8)?);
    let position = position.filter(|at| at.then <= N as u64 && at.now <= N as u64);
    let found = |steps, bits, position: u64| {
        hit(GeneratorKind::Mt19937x64, address, steps, bits, (words.then, position))
    };
    let all = N as u32 * 64;
    if words.then == words.now {
        let moved = position.filter(|at| at.then < at.now)?;
        let bits = if is_seeded(&words.now) { all } else { 0 };
        return found(moved.now - moved.then, bits, moved.then).map(|hit| Hit { bits, ..hit });
    }
    pair.work += MOST_REFILLS * 1_000;
    let full = refills(&words)? * N as u64;
    match position {
        Some(at) => found((full + at.now).checked_sub(at.then)?, all, at.then),
        None => found(full - N as u64 + 1, all, 0),
    }
}

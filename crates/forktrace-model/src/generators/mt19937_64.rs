//! The Mersenne Twister of 64-bit words (T. Nishimura, `mt19937-64.c`, 2004): 312 words and a position.
//!
//! `std::mt19937_64` has the words and a `size_t` after them (`bits/random.h`, GCC 12). It makes 312 new
//! words at once; in between only the position moves.

use super::{
    Hit,
    bits::{Pair, hit, looks_random},
};
use crate::event::GeneratorKind;

/// Words of the state, and the distance of the word that is mixed in.
pub(super) const N: usize = 312;
const M: usize = 156;
const MATRIX: u64 = 0xb502_6f5a_a966_19e9;
const UPPER: u64 = 0xffff_ffff_8000_0000;
const LOWER: u64 = 0x7fff_ffff;
/// The bit that the shift leaves free.
const TOP: u64 = 1 << 63;

/// Most refills that are made to find a state, and undone to find a seed.
const MOST_REFILLS: u64 = 128;
const MOST_UNDONE: usize = 32;
/// Words of a state that must look random.
const RANDOM: usize = N - 4;

pub(super) type Words = [u64; N];

/// The new word in place of `first`.
pub(super) fn mixed(first: u64, second: u64, far: u64) -> u64 {
    let y = first & UPPER | second & LOWER;
    far ^ y >> 1 ^ if y & 1 == 0 { 0 } else { MATRIX }
}

/// Makes 312 new words.
pub(super) fn refill(words: &mut Words) {
    for at in 0..N {
        words[at] = mixed(words[at], words[(at + 1) % N], words[(at + M) % N]);
    }
}

fn unmixed(new: u64, far: u64) -> u64 {
    let mixed = new ^ far;
    match mixed & TOP {
        0 => mixed << 1,
        _ => (mixed ^ MATRIX) << 1 | 1,
    }
}

/// The words before a refill.
fn undone(new: &Words) -> Words {
    let mut old = [0; N];
    for at in (0..N).rev() {
        let far = if at < N - M { old[at + M] } else { new[at + M - N] };
        let y = unmixed(new[at], far);
        old[at] = old[at] & LOWER | y & UPPER;
        if at + 1 < N {
            old[at + 1] = old[at + 1] & UPPER | y & LOWER;
        }
    }
    old[0] = old[0] & UPPER | unmixed(old[N - 1], old[M - 1]) & LOWER;
    old
}

/// Whether these words come from a seed of 64 bits, a few refills ago (`init_genrand64`).
fn is_seeded(words: &Words) -> bool {
    let seeded = |words: &Words| {
        (3..40).all(|at| {
            let before = words[at - 1];
            let next = 6_364_136_223_846_793_005_u64.wrapping_mul(before ^ before >> 62);
            words[at] == next.wrapping_add(at as u64)
        })
    };
    let mut words = *words;
    for _ in 0..MOST_UNDONE {
        if seeded(&words) {
            return true;
        }
        words = undone(&words);
    }
    false
}

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
    let mut state = words.then;
    let refills = (1..=MOST_REFILLS).find(|_| {
        refill(&mut state);
        state == words.now
    })?;
    let full = refills * N as u64;
    match position {
        Some(at) => found((full + at.now).checked_sub(at.then)?, all, at.then),
        None => found(full - N as u64 + 1, all, 0),
    }
}

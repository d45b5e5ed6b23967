//! Linear congruential generators: the next state is `state * multiplier + increment`, modulo 2^n.
//!
//! Of these the number of steps between two states can be computed, bit by bit: the lowest bits of the
//! state have a period of their own. Any state follows from any other after some number of steps, so that
//! only a small number says something.

use super::{
    Hit,
    bits::{Pair, hit, looks_random},
};
use crate::event::GeneratorKind;

/// Most steps of a generator with 48 or 64 bits, as a power of two: more would say too little.
const SMALL: u32 = 20;

/// Of `drand48()`: `next = state * 0x5deece66d + 0xb`, 48 bits (`__drand48_iterate`,
/// `stdlib/drand48-iter.c`, glibc 2.36; POSIX.1-2024, `drand48()`). Perl has the same
/// (`PERL_DRAND48_QUAD`, `util.h`, Perl 5.36).
pub(super) const MULTIPLIER_48: u64 = 0x5_deec_e66d;
const INCREMENT_48: u64 = 0xb;
const MASK_48: u64 = (1 << 48) - 1;

/// `seed = 6364136223846793005ULL*seed + 1` (`rand`, `src/prng/rand.c`, musl 1.2.3).
const MULTIPLIER_64: u64 = 6_364_136_223_846_793_005;
const INCREMENT_64: u64 = 1;

/// The number of steps from one state to another, if there are fewer than 2^`most`.
///
/// F. Brown, "Random number generation with arbitrary strides" (1994), as `pcg_setseq_64_distance`
/// (`include/pcg_variants.h`, PCG 0.94) uses it.
pub(super) fn distance(
    from: u128,
    to: u128,
    multiplier: u128,
    increment: u128,
    most: u32,
) -> Option<u64> {
    let (mut state, mut steps) = (from, 0);
    let (mut multiplier, mut increment) = (multiplier, increment);
    for bit in 0..most {
        if state == to {
            break;
        }
        if (state ^ to) >> bit & 1 != 0 {
            state = state.wrapping_mul(multiplier).wrapping_add(increment);
            steps |= 1_u64.checked_shl(bit)?;
        }
        increment = multiplier.wrapping_add(1).wrapping_mul(increment);
        multiplier = multiplier.wrapping_mul(multiplier);
    }
    (state == to).then_some(steps)
}

/// The same of 64 bits or fewer; `mask`: the bits that count.
fn short_distance(from: u64, to: u64, (multiplier, increment): (u64, u64), mask: u64) -> u64 {
    let (mut state, mut steps) = (from & mask, 0);
    let to = to & mask;
    let (mut multiplier, mut increment) = (multiplier, increment);
    for bit in 0..SMALL {
        if state == to {
            return steps;
        }
        if (state ^ to) >> bit & 1 != 0 {
            state = state.wrapping_mul(multiplier).wrapping_add(increment) & mask;
            steps |= 1 << bit;
        }
        increment = multiplier.wrapping_add(1).wrapping_mul(increment);
        multiplier = multiplier.wrapping_mul(multiplier);
    }
    if state == to { steps } else { 0 }
}

/// A generator of 64 bits with another increment; zero: too many steps.
pub(super) fn distance_64(from: u64, to: u64, increment: u64) -> u64 {
    short_distance(from, to, (MULTIPLIER_64, increment), u64::MAX)
}

/// glibc's `struct drand48_data`: three words of 16 bits, three more of the state before, `c`, whether it
/// was initialised, and the multiplier `a` (`stdlib/stdlib.h`). Perl's is a number of 64 bits whose upper
/// 16 are zero.
pub(super) fn test_48(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    let state = pair.long(address)?;
    let steps = short_distance(state.then, state.now, (MULTIPLIER_48, INCREMENT_48), MASK_48);
    if steps == 0 {
        return None;
    }
    let found = |bits: u32, state: [u64; 3]| hit(GeneratorKind::Lcg48, address, steps, bits, state);
    if let Some(data) = pair.longs::<3>(address)
        && let [_, constants, multiplier] = data.now
        && multiplier == MULTIPLIER_48
        && constants >> 32 == INCREMENT_48 | 1 << 16
    {
        return found(48 + 64, data.then);
    }
    // A state that was just seeded is small.
    let alone = state.then <= MASK_48 && (1 << 40..=MASK_48).contains(&state.now);
    let random = (10..=38).contains(&state.now.count_ones());
    (alone && random).then(|| found(48, [state.then, 0, 0])).flatten()
}

/// A number of 64 bits, as musl's `rand()` has it.
pub(super) fn test_64(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    let state = pair.long(address)?;
    let steps = distance_64(state.then, state.now, INCREMENT_64);
    // From zero, a step leads to one: so do other things.
    let found = steps > 0 && looks_random(state.now);
    found.then(|| hit(GeneratorKind::Lcg64, address, steps, 64, state.then)).flatten()
}

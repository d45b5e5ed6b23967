//! PCG: a linear congruential generator with an increment of its own (M. O'Neill, 2014).
//!
//! numpy's `pcg64_random_t` has the state and the increment, 16 bytes each
//! (`numpy/random/src/pcg64/pcg64.h`, numpy 1.26 and 2.4); so has Rust's `Lcg128Xsl64`, and `Lcg64Xsh32`
//! with 8 bytes each (`rand_pcg` 0.9, `src/pcg128.rs`, `src/pcg64.rs`). The increment is odd.

use super::{
    Hit,
    bits::{Pair, Window, hit, looks_random},
    lcg::{distance, distance_64},
};
use crate::event::GeneratorKind;

/// `PCG_DEFAULT_MULTIPLIER_128`, and `PCG_CHEAP_MULTIPLIER_128` of PCG64DXSM (`pcg64.h`).
const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
const CHEAP_MULTIPLIER: u128 = 0xda94_2042_e4dd_58b5;

/// Most steps, as a power of two.
const MOST: u32 = 32;

pub(super) fn test_64(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    test(pair, address, GeneratorKind::Pcg64, MULTIPLIER)
}

pub(super) fn test_dxsm(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    test(pair, address, GeneratorKind::Pcg64Dxsm, CHEAP_MULTIPLIER)
}

fn test(pair: &mut Pair<'_>, address: u64, kind: GeneratorKind, multiplier: u128) -> Option<Hit> {
    let Window { then, now } = pair.longs::<4>(address)?;
    let wide = |low: u64, high: u64| u128::from(low) | u128::from(high) << 64;
    let [low, high, increment_low, increment_high] = then;
    let [low_now, high_now, ..] = now;
    let increment = wide(increment_low, increment_high);
    if then[2..] != now[2..] || increment & 1 == 0 || !looks_random(high_now) {
        return None;
    }
    let (from, to) = (wide(low, high), wide(low_now, high_now));
    let steps = distance(from, to, multiplier, increment, MOST)?;
    hit(kind, address, steps, 128, then)
}

pub(super) fn test_32(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    let Window { then, now } = pair.longs::<2>(address)?;
    let [from, increment] = then;
    let [to, increment_now] = now;
    let possible = increment == increment_now && increment & 1 != 0 && looks_random(to);
    // With the increment of one it is another generator.
    if !possible || increment == 1 {
        return None;
    }
    hit(GeneratorKind::Pcg32, address, distance_64(from, to, increment), 64, then)
}

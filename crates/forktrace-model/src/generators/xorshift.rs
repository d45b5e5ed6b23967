//! Generators that mix a few words with shifts and rotations: the xorshift family.

use std::hash::Hash;

use super::{
    Hit,
    bits::{Pair, hit, looks_random, word_looks_random},
};
use crate::event::GeneratorKind;

/// Most steps.
pub(super) const MOST: u64 = 1024;

/// xoshiro256, whatever its output (D. Blackman and S. Vigna, "Scrambled linear pseudorandom number
/// generators", 2021). Rust's `SmallRng` on 64-bit machines (`src/rngs/xoshiro256plusplus.rs`, rand 0.9),
/// Julia's tasks (`jl_tasklocal_rng`, `src/task.c`, Julia 1.10), Lua's `math.random` (`nextrand`,
/// `lmathlib.c`, Lua 5.4).
pub(super) fn xoshiro256([s0, s1, s2, s3]: [u64; 4]) -> [u64; 4] {
    let (c, d) = (s2 ^ s0, s3 ^ s1);
    [s0 ^ d, s1 ^ c, c ^ s1 << 17, d.rotate_left(45)]
}

/// The same with words of 32 bits: Rust's `SmallRng` on 32-bit machines
/// (`src/rngs/xoshiro128plusplus.rs`, rand 0.9).
pub(super) fn xoshiro128([s0, s1, s2, s3]: [u32; 4]) -> [u32; 4] {
    let (c, d) = (s2 ^ s0, s3 ^ s1);
    [s0 ^ d, s1 ^ c, c ^ s1 << 9, d.rotate_left(11)]
}

/// xoroshiro128+ and xoroshiro128** (the paper above, version of 2018).
pub(super) fn xoroshiro128([s0, s1]: [u64; 2]) -> [u64; 2] {
    let mixed = s1 ^ s0;
    [s0.rotate_left(24) ^ mixed ^ mixed << 16, mixed.rotate_left(37)]
}

/// xorshift128+ with the shifts 23, 17, 26 of V8 (`XorShift128`, `src/base/utils/random-number-generator.h`,
/// V8 12), SpiderMonkey (`mfbt/XorShift128PlusRNG.h`) and JavaScriptCore (`wtf/WeakRandom.h`).
pub(super) fn xorshift128_plus([s0, s1]: [u64; 2]) -> [u64; 2] {
    let mut mixed = s0;
    mixed ^= mixed << 23;
    mixed ^= mixed >> 17;
    mixed ^= s1 ^ s1 >> 26;
    [s1, mixed]
}

/// Marsaglia's xorshift128 (G. Marsaglia, "Xorshift RNGs", 2003): `rand_xorshift` 0.5, `src/lib.rs`.
pub(super) fn xorshift128([x, y, z, w]: [u32; 4]) -> [u32; 4] {
    let t = x ^ x << 11;
    [y, z, w, w ^ w >> 19 ^ t ^ t >> 8]
}

/// How many steps, of at most `most`, lead from one state to another; zero: none do.
fn steps<T: Copy + PartialEq>(from: T, to: T, step: impl Fn(T) -> T, most: u64) -> u64 {
    let mut state = from;
    for steps in 1..=most {
        state = step(state);
        if state == to {
            return steps;
        }
    }
    0
}

/// What may begin where these words are, or 4 bytes later, at most `most` steps on: its kind and the
/// offset. Of the words so many have changed. Adds to `tried` how many steps were tried.
pub(super) fn guess(
    then: &[u64; 4],
    now: &[u64; 4],
    changed: usize,
    most: u64,
    tried: &mut u64,
) -> Option<(GeneratorKind, u64)> {
    let random = |words: usize| {
        then.iter().take(words).chain(now.iter().take(words)).all(|word| looks_random(*word))
    };
    let (two, two_now) = ([then[0], then[1]], [now[0], now[1]]);
    let is_two = |step: fn([u64; 2]) -> [u64; 2]| steps(two, two_now, step, most) > 0;
    let two_random = changed >= 2 && random(2);
    *tried += if two_random { most * 2 } else { 0 };
    match two_random {
        true if is_two(xoroshiro128) => return Some((GeneratorKind::Xoroshiro128, 0)),
        true if is_two(xorshift128_plus) => return Some((GeneratorKind::Xorshift128Plus, 0)),
        _ => {}
    }
    let four_random = changed == 4 && random(4);
    *tried += if four_random { most } else { 0 };
    if four_random && steps(*then, *now, xoshiro256, most) > 0 {
        return Some((GeneratorKind::Xoshiro256, 0));
    }
    let words = |longs: &[u64; 4], at: usize| {
        [at, at + 1, at + 2, at + 3].map(|word| (longs[word / 2] >> (word % 2 * 32)) as u32)
    };
    (0..2).find_map(|at| {
        let (then, now) = (words(then, at), words(now, at));
        let offset = at as u64 * 4;
        let is = |step: fn([u32; 4]) -> [u32; 4]| steps(then, now, step, most) > 0;
        let words_random = then.iter().chain(&now).all(|word| word_looks_random(*word));
        *tried += if words_random { most * 2 } else { 0 };
        match words_random {
            true if is(xoshiro128) => Some((GeneratorKind::Xoshiro128, offset)),
            true if is(xorshift128) => Some((GeneratorKind::Xorshift128, offset)),
            _ => None,
        }
    })
}

fn longs<const N: usize>(
    pair: &mut Pair<'_>,
    address: u64,
    kind: GeneratorKind,
    step: impl Fn([u64; N]) -> [u64; N],
) -> Option<Hit>
where
    [u64; N]: Hash,
{
    let state = pair.longs::<N>(address)?;
    if state.then.iter().chain(&state.now).any(|word| !looks_random(*word)) {
        return None;
    }
    let steps = steps(state.then, state.now, step, MOST);
    hit(kind, address, steps, 64 * N as u32, state.then)
}

fn words(
    pair: &mut Pair<'_>,
    address: u64,
    kind: GeneratorKind,
    step: impl Fn([u32; 4]) -> [u32; 4],
) -> Option<Hit> {
    let state = pair.words::<4>(address)?;
    if state.then.iter().chain(&state.now).any(|word| !word_looks_random(*word)) {
        return None;
    }
    hit(kind, address, steps(state.then, state.now, step, MOST), 128, state.then)
}

pub(super) fn test_xoshiro256(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    longs::<4>(pair, address, GeneratorKind::Xoshiro256, xoshiro256)
}

pub(super) fn test_xoshiro128(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    words(pair, address, GeneratorKind::Xoshiro128, xoshiro128)
}

pub(super) fn test_xoroshiro128(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    longs::<2>(pair, address, GeneratorKind::Xoroshiro128, xoroshiro128)
}

pub(super) fn test_xorshift128_plus(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    longs::<2>(pair, address, GeneratorKind::Xorshift128Plus, xorshift128_plus)
}

pub(super) fn test_xorshift128(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    words(pair, address, GeneratorKind::Xorshift128, xorshift128)
}

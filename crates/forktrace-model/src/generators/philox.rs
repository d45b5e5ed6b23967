//! Philox 4x64 with ten rounds: a counter that is enciphered with a key (J. Salmon and others, "Parallel
//! random numbers: as easy as 1, 2, 3", 2011).
//!
//! numpy's `philox_state` has the addresses of counter and key, a position, and the four numbers that the
//! latest counter gave (`philox_next`, `numpy/random/src/philox/philox.h`, numpy 1.26 and 2.4).

use super::{
    Hit,
    bits::{Pair, hit},
};
use crate::event::GeneratorKind;

const MULTIPLIERS: [u64; 2] = [0xd2e7_470e_e14c_6c93, 0xca5a_8263_9512_1157];
const WEYL: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xbb67_ae85_84ca_a73b];
const ROUNDS: usize = 10;

/// Most blocks of four.
const MOST: u64 = 1 << 20;
/// Counter and key are this near, bytes.
const NEAR: u64 = 4096;

/// What a counter gives.
pub(super) fn block(counter: [u64; 4], key: [u64; 2]) -> [u64; 4] {
    let ([mut c0, mut c1, mut c2, mut c3], [mut k0, mut k1]) = (counter, key);
    let product = |a: u64, b: u64| u128::from(a) * u128::from(b);
    for round in 0..ROUNDS {
        if round > 0 {
            k0 = k0.wrapping_add(WEYL[0]);
            k1 = k1.wrapping_add(WEYL[1]);
        }
        let (first, second) = (product(MULTIPLIERS[0], c0), product(MULTIPLIERS[1], c2));
        let high = |product: u128| (product >> 64) as u64;
        (c0, c1, c2, c3) =
            (high(second) ^ c1 ^ k0, second as u64, high(first) ^ c3 ^ k1, first as u64);
    }
    [c0, c1, c2, c3]
}

/// `address`: of the `philox_state`.
pub(super) fn test(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    let state = pair.longs::<7>(address)?;
    let [counter, key, ..] = state.now;
    let near = |at: u64| at.abs_diff(address) < NEAR && at.is_multiple_of(8);
    if state.then[..2] != state.now[..2] || !near(counter) || !near(key) {
        return None;
    }
    let (counter, key) = (pair.longs::<4>(counter)?, pair.longs::<2>(key)?);
    let position = |state: &[u64; 7]| Some(u64::from(state[2] as u32)).filter(|at| *at <= 4);
    let (then, now) = (position(&state.then)?, position(&state.now)?);
    let blocks = counter.now[0].wrapping_sub(counter.then[0]);
    let same = key.then == key.now && counter.then[1..] == counter.now[1..];
    if !same || blocks > MOST || block(counter.now, key.now) != state.now[3..] {
        return None;
    }
    let steps = (blocks * 4 + now).checked_sub(then)?;
    hit(GeneratorKind::Philox, address, steps, 256, (counter.then, key.then, then))
}

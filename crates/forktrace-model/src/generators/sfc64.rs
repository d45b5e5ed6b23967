//! SFC64: three mixed words and a counter (C. Doty-Humphrey, PractRand).
//!
//! numpy's `sfc64_state` begins with the four words (`numpy/random/src/sfc64/sfc64.h`, numpy 1.26 and 2.4).

use super::{
    Hit,
    bits::{Pair, Window, hit, looks_random},
};
use crate::event::GeneratorKind;

/// Most steps.
const MOST: u64 = 1 << 16;

/// `sfc64_next`.
pub(super) fn step([a, b, c, counter]: [u64; 4]) -> [u64; 4] {
    let sum = a.wrapping_add(b).wrapping_add(counter);
    [
        b ^ b >> 11,
        c.wrapping_add(c << 3),
        c.rotate_left(24).wrapping_add(sum),
        counter.wrapping_add(1),
    ]
}

pub(super) fn test(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    let Window { then, now } = pair.longs::<4>(address)?;
    let steps = now[3].wrapping_sub(then[3]);
    if steps == 0 || steps > MOST || !now[..3].iter().all(|word| looks_random(*word)) {
        return None;
    }
    let end = (0..steps).fold(then, |state, _| step(state));
    (end == now).then(|| hit(GeneratorKind::Sfc64, address, steps, 192, then)).flatten()
}

//! ChaCha (D. J. Bernstein, 2008) as Rust's `rand` uses it: a key, a counter of 64 bits, and the 64 words
//! that the latest four counters gave, with the number of the next one.
//!
//! `StdRng` and `ThreadRng` are `BlockRng`s: `results`, `index`, and a core with key and counter
//! (`rand_core` 0.9, `src/block.rs`; `rand_chacha` 0.9, `src/chacha.rs`, `src/guts.rs` of `ppv-lite86`).
//! In rand 0.10 the core is the whole state with ChaCha's constants, and the first word of `results` is the
//! number of the next one (`rand_core` 0.10, `src/block.rs`; `chacha20` 0.10, `src/rng.rs`). The order of
//! the fields is the compiler's.

use super::{
    Hit,
    bits::{Pair, Window, hit},
};
use crate::event::GeneratorKind;

/// "expand 32-byte k".
pub(super) const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
/// Words of `results`, and counters that they take.
pub(super) const WORDS: u64 = 64;
const COUNTERS: u64 = 4;
/// Most refills.
const MOST: u64 = 1 << 16;
/// Rounds that are in use.
const ROUNDS: [usize; 3] = [12, 20, 8];

/// Where the core and the words are from the index, bytes, in rand 0.8 and 0.9.
const ORDERS: [(i64, i64); 6] = [(-304, -256), (-48, -304), (-48, 8), (8, 56), (-48, 16), (16, 64)];
/// Where the words are from the core, bytes, in rand 0.10.
const WHOLE_ORDERS: [i64; 2] = [64, -256];

fn quarter(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    for (x, y, z, bits) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
        state[x] = state[x].wrapping_add(state[y]);
        state[z] = (state[z] ^ state[x]).rotate_left(bits);
    }
}

/// What a state gives.
pub(super) fn block(input: &[u32; 16], rounds: usize) -> [u32; 16] {
    let mut state = *input;
    for _ in 0..rounds / 2 {
        quarter(&mut state, 0, 4, 8, 12);
        quarter(&mut state, 1, 5, 9, 13);
        quarter(&mut state, 2, 6, 10, 14);
        quarter(&mut state, 3, 7, 11, 15);
        quarter(&mut state, 0, 5, 10, 15);
        quarter(&mut state, 1, 6, 11, 12);
        quarter(&mut state, 2, 7, 8, 13);
        quarter(&mut state, 3, 4, 9, 14);
    }
    for (word, added) in state.iter_mut().zip(input) {
        *word = word.wrapping_add(*added);
    }
    state
}

/// Key, counter and stream, 12 words.
type Core = [u32; 12];

fn counter(core: &Core) -> u64 {
    u64::from(core[8]) | u64::from(core[9]) << 32
}

/// Whether the words were given by the counters before the one in the core, from word `from` on.
fn gave(core: &Core, words: &[u32; 16], from: usize) -> bool {
    let Some(counter) = counter(core).checked_sub(COUNTERS) else { return false };
    let mut input = [0; 16];
    input[..4].copy_from_slice(&CONSTANTS);
    input[4..].copy_from_slice(core);
    input[12] = counter as u32;
    input[13] = (counter >> 32) as u32;
    ROUNDS.iter().any(|rounds| block(&input, *rounds)[from..] == words[from..])
}

/// `address`: of the index in rand 0.8 and 0.9, of the state in rand 0.10.
pub(super) fn test(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    if let Some(state) = pair.words::<16>(address)
        && state.then[..4] == CONSTANTS
        && state.now[..4] == CONSTANTS
    {
        let core = pair.words::<12>(address.checked_add(16)?)?;
        return WHOLE_ORDERS.iter().find_map(|words| {
            let words = address.checked_add_signed(*words)?;
            let Window { then, now } = pair.word(words)?;
            let index = Window { then: then.into(), now: now.into() };
            found(pair, address, &core, words, &index, 1)
        });
    }
    let index = pair.long(address)?;
    ORDERS.iter().find_map(|(core, words)| {
        let core = pair.words::<12>(address.checked_add_signed(*core)?)?;
        found(pair, address, &core, address.checked_add_signed(*words)?, &index, 0)
    })
}

/// `from`: the first of the words that is one.
fn found(
    pair: &mut Pair<'_>,
    address: u64,
    core: &Window<Core>,
    words: u64,
    index: &Window<u64>,
    from: usize,
) -> Option<Hit> {
    let possible = index.then <= WORDS && index.now <= WORDS;
    let same = core.then[..8] == core.now[..8] && core.then[10..] == core.now[10..];
    let counters = counter(&core.now).wrapping_sub(counter(&core.then));
    let refills = counters / COUNTERS;
    if !possible || !same || !counters.is_multiple_of(COUNTERS) || refills > MOST {
        return None;
    }
    let words = pair.words::<16>(words)?;
    if !gave(&core.now, &words.now, from) {
        return None;
    }
    let steps = (refills * WORDS + index.now).checked_sub(index.then)?;
    hit(GeneratorKind::ChaCha, address, steps, 256, (core.then, index.then))
}

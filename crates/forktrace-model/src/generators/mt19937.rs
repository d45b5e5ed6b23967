//! The Mersenne Twister of 32-bit words (M. Matsumoto and T. Nishimura, 1998): 624 words and a position.
//!
//! Most implementations make 624 new words at once (`genrand_uint32`, `Modules/_randommodule.c`,
//! CPython 3.11; `mt19937_gen`, `numpy/random/src/mt19937/mt19937.c`, numpy 2.4; `_M_gen_rand`,
//! `bits/random.tcc`, GCC 12; `php_mt_reload`, `ext/standard/mt_rand.c`, PHP 8.2; `next_state`,
//! `mt19937.c`, Ruby 3.1). libc++ makes one at a time (`mersenne_twister_engine::operator()`,
//! `__random/mersenne_twister_engine.h`, LLVM 17). In between only the position moves; then the words alone
//! do not say that they are a generator's: their seed may ([`is_seeded`]).

use super::{
    Hit,
    bits::{Pair, Window, hit, word_looks_random},
    twister::{MOST_REFILLS, MOST_UNDONE, twister},
};
use crate::event::GeneratorKind;

/// Words of the state, and the distance of the word that is mixed in.
pub(super) const N: usize = 624;
const M: usize = 397;
const MATRIX: u32 = 0x9908_b0df;
const UPPER: u32 = 0x8000_0000;
const LOWER: u32 = 0x7fff_ffff;

/// What a refill takes.
const REFILL_WORK: u64 = 1_500;
/// Words of a state that must look random.
const RANDOM: usize = N - 8;

// A seed: `init_genrand` (Matsumoto and Nishimura, `mt19937ar.c`, 2002), which `seed()` of libstdc++ and
// libc++, `mt_srand` of PHP and `RandomState(int)` of numpy use too.
twister!(u32, 1_812_433_253, 30);

/// Whether words may be a state.
fn look_random(words: &Words) -> bool {
    words.iter().filter(|word| word_looks_random(**word)).count() >= RANDOM
}

/// How a position is kept beside the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// The number of the next word, of 32 bits, at an offset from the words.
    Word(i64),
    /// The same, followed by a mode that is 0 or 1, just before the words.
    WordAndMode,
    /// The same of 64 bits.
    Long(i64),
    /// The address of the next word at the first offset, and how many are left at the second.
    Pointer(i64, i64),
}

/// Where implementations have the position, if a word takes 4 bytes: CPython's `RandomObject`; numpy's
/// `mt19937_state` and PHP's `php_random_status_state_mt19937` up to 8.3; PHP's of 8.4; Ruby's
/// `struct MT` in both orders.
const PACKED: &[Position] = &[
    Position::Word(-4),
    Position::Word(N as i64 * 4),
    Position::WordAndMode,
    Position::Pointer(N as i64 * 4, N as i64 * 4 + 8),
    Position::Pointer(-16, -8),
    Position::Pointer(-12, -4),
];
/// The same where it takes 8: `std::mt19937` has words of the type `uint_fast32_t`, and a `size_t`.
const WIDE: &[Position] = &[Position::Long(N as i64 * 8)];

impl Position {
    /// The position at the fork and now; `None`: there is none here.
    fn read(self, pair: &mut Pair<'_>, table: u64) -> Option<Window<u64>> {
        let at = |offset| table.checked_add_signed(offset);
        let most = N as u64;
        let position = match self {
            Position::Word(offset) => {
                let Window { then, now } = pair.word(at(offset)?)?;
                Window { then: then.into(), now: now.into() }
            }
            Position::WordAndMode => {
                let Window { then: [then, mode], now: [now, mode_now] } =
                    pair.words::<2>(at(-8)?)?;
                let right = mode == mode_now && mode <= 1;
                right.then_some(Window { then: then.into(), now: now.into() })?
            }
            Position::Long(offset) => pair.long(at(offset)?)?,
            Position::Pointer(next, left) => {
                let next = pair.long(at(next)?)?;
                let left = pair.word(at(left)?)?;
                let index = |next: u64, left: u32| {
                    let index = next.checked_sub(table).filter(|bytes| bytes % 4 == 0)? / 4;
                    (index + u64::from(left) == most + 1).then_some(index)
                };
                Window { then: index(next.then, left.then)?, now: index(next.now, left.now)? }
            }
        };
        (position.then <= most && position.now <= most).then_some(position)
    }

    /// Bits by which the position itself shows that it is one: an address of its own words.
    fn bits(self) -> u32 {
        if matches!(self, Position::Pointer(..)) { 64 } else { 0 }
    }
}

/// `address`: of the first word.
pub(super) fn test(pair: &mut Pair<'_>, address: u64) -> Option<Hit> {
    if let Some(words) = pair.words::<N>(address)
        && look_random(&words.now)
        && let Some(hit) = of_words(pair, address, &words, PACKED)
    {
        return Some(hit);
    }
    let wide = pair.longs::<N>(address)?;
    let narrow = |longs: &[u64; N]| {
        longs.iter().all(|long| *long <= u32::MAX.into()).then(|| longs.map(|long| long as u32))
    };
    let words = Window { then: narrow(&wide.then)?, now: narrow(&wide.now)? };
    if !look_random(&words.now) {
        return None;
    }
    of_words(pair, address, &words, WIDE)
}

fn of_words(
    pair: &mut Pair<'_>,
    address: u64,
    words: &Window<Words>,
    positions: &[Position],
) -> Option<Hit> {
    let mut read =
        positions.iter().filter_map(|position| Some((*position, position.read(pair, address)?)));
    let found = |steps, bits, position: u64| {
        hit(GeneratorKind::Mt19937, address, steps, bits, (words.then, position))
    };
    if words.then == words.now {
        let (position, moved) = read.find(|(_, moved)| moved.then < moved.now)?;
        pair.work += MOST_UNDONE as u64 * REFILL_WORK;
        let bits = match position.bits() {
            0 if is_seeded(&words.now) => N as u32 * 32,
            bits => bits,
        };
        // The number of steps is no coincidence that was looked for.
        let steps = moved.now - moved.then;
        return found(steps, bits, moved.then).map(|hit| Hit { bits, ..hit });
    }
    let moved: Vec<Window<u64>> = read.map(|(_, moved)| moved).collect();
    pair.work += MOST_REFILLS * REFILL_WORK;
    let Some(refills) = refills(words) else {
        pair.work += moved.len() as u64 * MOST_REFILLS * REFILL_WORK;
        let (steps, position) = one_by_one(words, &moved)?;
        let state = u32::try_from(steps).unwrap_or(u32::MAX).saturating_mul(32);
        return found(steps, state, position);
    };
    let full = refills * N as u64;
    let steps = |moved: &Window<u64>| (full + moved.now).checked_sub(moved.then);
    let exact = moved.iter().find_map(|moved| Some((steps(moved).filter(|n| *n > 0)?, moved.then)));
    // With no position known, at least one word after the last refill.
    let (steps, position) = exact.unwrap_or((full - N as u64 + 1, 0));
    found(steps, N as u32 * 32, position)
}

/// The number of words that were made one at a time, and the position at the fork.
fn one_by_one(words: &Window<Words>, moved: &[Window<u64>]) -> Option<(u64, u64)> {
    moved.iter().find_map(|moved| {
        let mut state = words.then;
        let mut at = usize::try_from(moved.then).ok().filter(|at| *at < N)?;
        let end = usize::try_from(moved.now).ok()?;
        for steps in 1..=(MOST_REFILLS * N as u64) {
            refill_one(&mut state, at);
            at = (at + 1) % N;
            if at == end && state == words.now {
                return Some((steps, moved.then));
            }
        }
        None
    })
}

//! What both Mersenne Twisters do, with words of 32 or of 64 bits.

/// Most refills that are made to find a state.
pub(super) const MOST_REFILLS: u64 = 128;
/// Most refills that are undone to find a seed.
pub(super) const MOST_UNDONE: usize = 32;

/// The step of a twister, and its way back. `$word`: the type of its `N` words; `M`, `MATRIX`, `UPPER` and
/// `LOWER` are its constants by their usual names; `$multiplier` and `$shift` make the words from a seed.
macro_rules! twister {
    ($word:ty, $multiplier:literal, $shift:literal) => {
        pub(super) type Words = [$word; N];

        /// The new word in place of `first`.
        pub(super) fn mixed(first: $word, second: $word, far: $word) -> $word {
            let y = first & UPPER | second & LOWER;
            far ^ y >> 1 ^ if y & 1 == 0 { 0 } else { MATRIX }
        }

        /// Makes one new word.
        fn refill_one(words: &mut Words, at: usize) {
            words[at] = mixed(words[at], words[(at + 1) % N], words[(at + M) % N]);
        }

        /// Makes `N` new words.
        pub(super) fn refill(words: &mut Words) {
            for at in 0..N {
                refill_one(words, at);
            }
        }

        /// How many refills lead from one state to the other.
        fn refills(words: &$crate::generators::bits::Window<Words>) -> Option<u64> {
            let mut state = words.then;
            (1..=$crate::generators::twister::MOST_REFILLS).find(|_| {
                refill(&mut state);
                state == words.now
            })
        }

        /// What `y` was where `mixed` gave this. The shift leaves the highest bit free.
        fn unmixed(new: $word, far: $word) -> $word {
            let mixed = new ^ far;
            match mixed >> (<$word>::BITS - 1) {
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
            // The lower bits of the first are in none of the new words, but in the last of these.
            old[0] = old[0] & UPPER | unmixed(old[N - 1], old[M - 1]) & LOWER;
            old
        }

        /// Whether these words come from a seed of one word, a few refills ago: that proves that they are
        /// a state.
        pub(super) fn is_seeded(words: &Words) -> bool {
            let seeded = |words: &Words| {
                (3..40).all(|at| {
                    let before = words[at - 1];
                    let next = <$word>::wrapping_mul($multiplier, before ^ before >> $shift);
                    words[at] == next.wrapping_add(at as $word)
                })
            };
            let mut words = *words;
            for _ in 0..$crate::generators::twister::MOST_UNDONE {
                if seeded(&words) {
                    return true;
                }
                words = undone(&words);
            }
            false
        }
    };
}
pub(super) use twister;

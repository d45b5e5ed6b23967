//! What must not be taken for a generator that moved.

use proptest::prelude::*;

use super::*;

fn silent(mut memory: Flat) {
    let found = memory.search();
    assert_eq!(found.hits, [], "{found:?}");
}

#[test]
fn a_generator_that_was_seeded_again_is_none() {
    let mut again = seeded(8);
    mt19937::refill(&mut again);
    let (memory, _) = of_python((624, &seeded(7)), (5, &again));
    silent(memory);
    let (memory, _) = of_python((624, &seeded(7)), (624, &seeded(8)));
    silent(memory);
    let mut memory = Flat::new(1);
    let [_, constants, multiplier] = DRAND48[0];
    memory.longs(0x200, &DRAND48[0], &[0x7_330e, constants, multiplier]);
    silent(memory);
}

#[test]
fn one_that_did_not_move_is_none() {
    let (memory, _) = of_python((5, &seeded(7)), (5, &seeded(7)));
    silent(memory);
    let mut memory = Flat::new(1);
    memory.longs(0x200, &DRAND48[0], &DRAND48[0]);
    memory.longs(0x300, &SFC64[0], &SFC64[0]);
    silent(memory);
}

/// numpy's `jumped` and `advance` by much, xoshiro's `jump`: a part of the sequence of its own.
#[test]
fn one_that_jumped_is_none() {
    let [then, increment, _] = PCG64;
    let far = 0x1234_5678_9abc_def0_u128 << 64;
    let halves = |wide: u128| [wide as u64, (wide >> 64) as u64];
    let state = |wide| [halves(wide), halves(increment)].concat();
    let mut memory = Flat::new(1);
    memory.longs(0x88, &state(then), &state(then ^ far));
    silent(memory);
}

#[test]
fn what_programs_have_in_memory_is_none() {
    let mut memory = Flat::new(4);
    // Reference counts, a counter from zero, lengths.
    memory.longs(0x10, &[0, 1, 5, 623, 3], &[1, 2, 9, 624, 7]);
    // Addresses.
    let pointers: Vec<u64> = (0..64).map(|n| 0x7f32_1000_0000 + n * 48).collect();
    let moved: Vec<u64> = pointers.iter().map(|pointer| pointer + 0x30).collect();
    memory.longs(0x100, &pointers, &moved);
    // Floating-point numbers, text, times.
    let floats: Vec<u64> = (0..400).map(|n| (f64::from(n) * 0.1).sin().to_bits()).collect();
    let later: Vec<u64> = (0..400).map(|n| (f64::from(n) * 0.1 + 0.1).sin().to_bits()).collect();
    memory.longs(0x1000, &floats, &later);
    let text = |from: u8| -> Vec<u64> {
        (0..100).map(|n| u64::from_le_bytes([from + n % 20; 8])).collect()
    };
    memory.longs(0x2000, &text(0x41), &text(0x61));
    memory.longs(0x3000, &[1_764_512_345_123_456_789], &[1_764_512_346_323_456_789]);
    // Zeroes that were given to somebody, and a key of zeroes.
    memory.longs(0x3100, &[0; 64], &[0x55; 64]);
    silent(memory);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Of random bytes not even one kind in ten million is met by chance, and no proof.
    #[test]
    fn a_random_page_is_no_generator(
        then in proptest::collection::vec(any::<u64>(), 512 * 2),
        now in proptest::collection::vec(any::<u64>(), 512 * 2),
    ) {
        let mut memory = Flat::new(2);
        memory.longs(0, &then, &now);
        prop_assert_eq!(memory.search().hits, []);
    }

    /// Nor where only some of them changed, or one number after another.
    #[test]
    fn random_changes_of_a_random_page_are_no_generator(
        then in proptest::collection::vec(any::<u64>(), 512),
        changes in proptest::collection::vec((0..512_usize, any::<u64>(), 0..700_u64), 0..64),
    ) {
        let mut now = then.clone();
        for (at, random, small) in changes {
            now[at] = if small < 350 { random } else { small };
        }
        let mut memory = Flat::new(1);
        memory.longs(0, &then, &now);
        let hits = memory.search().hits;
        prop_assert!(hits.iter().all(|hit| hit.bits == 0), "{hits:?}");
    }

    /// Any state of a generator is found again after any few steps.
    #[test]
    fn any_state_is_found(state in any::<[u64; 4]>(), steps in 1..200_u64, at in 0..500_usize) {
        prop_assume!(state.iter().all(|word| bits::looks_random(*word)));
        let now = (0..steps).fold(state, |state, _| xorshift::xoshiro256(state));
        prop_assume!(now.iter().all(|word| bits::looks_random(*word)));
        let mut memory = Flat::new(1);
        memory.longs(at * 8, &state, &now);
        let hits = memory.search().hits;
        prop_assert_eq!(hits.len(), 1);
        prop_assert_eq!((hits[0].kind, hits[0].steps), (GeneratorKind::Xoshiro256, steps));
    }
}

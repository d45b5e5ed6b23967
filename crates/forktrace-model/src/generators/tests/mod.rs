#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod against;
mod vectors;

use super::*;
use crate::generators::{mt19937_64 as wide, search};
use vectors::*;

/// Where memory of a test begins.
const BASE: u64 = 0x7f12_3450_0000;

/// Memory that is all known.
struct Flat {
    then: Vec<u8>,
    now: Vec<u8>,
}

impl Memory for Flat {
    fn read(&mut self, when: When, address: u64, bytes: &mut [u8]) -> bool {
        let memory = if when == When::Fork { &self.then } else { &self.now };
        let at = usize::try_from(address.wrapping_sub(BASE)).unwrap();
        match memory.get(at..at.saturating_add(bytes.len())) {
            Some(source) => {
                bytes.copy_from_slice(source);
                true
            }
            None => false,
        }
    }
}

impl Flat {
    fn new(pages: usize) -> Self {
        Flat { then: vec![0; pages * PAGE], now: vec![0; pages * PAGE] }
    }

    /// Puts words at an offset, at the fork and now.
    fn words(&mut self, at: usize, then: &[u32], now: &[u32]) {
        for (memory, words) in [(&mut self.then, then), (&mut self.now, now)] {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            memory[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }

    fn longs(&mut self, at: usize, then: &[u64], now: &[u64]) {
        let words = |longs: &[u64]| -> Vec<u32> {
            longs.iter().flat_map(|long| [*long as u32, (*long >> 32) as u32]).collect()
        };
        self.words(at, &words(then), &words(now));
    }

    fn pages(&self) -> Vec<u64> {
        (0..self.now.len() / PAGE).map(|page| BASE + (page * PAGE) as u64).collect()
    }

    fn search(&mut self) -> Search {
        let pages = self.pages();
        search(self, &pages)
    }
}

/// What the search finds: one generator of this kind, so many steps on.
#[track_caller]
fn finds(mut memory: Flat, kind: GeneratorKind, at: usize, steps: u64) -> Hit {
    let found = memory.search();
    assert!(!found.cut, "{found:?}");
    let [hit] = found.hits.as_slice() else { panic!("{:?}", found.hits) };
    assert_eq!((hit.kind, hit.address, hit.steps), (kind, BASE + at as u64, steps));
    assert_eq!(test(kind, &mut memory, hit.address), Some(*hit), "asked about the place alone");
    *hit
}

#[test]
fn pcg64_of_numpy() {
    let cases = [(PCG64, GeneratorKind::Pcg64), (PCG64_DXSM, GeneratorKind::Pcg64Dxsm)];
    for ([then, increment, now], kind) in cases {
        let halves = |wide: u128| [wide as u64, (wide >> 64) as u64];
        let state = |wide| [halves(wide), halves(increment)].concat();
        let mut memory = Flat::new(1);
        memory.longs(0x88, &state(then), &state(now));
        assert!(finds(memory, kind, 0x88, 5).bits > 120);
    }
}

#[test]
fn sfc64_of_numpy() {
    let mut memory = Flat::new(1);
    memory.longs(0x40, &SFC64[0], &SFC64[1]);
    assert!(finds(memory, GeneratorKind::Sfc64, 0x40, 5).bits > 180);
}

#[test]
fn philox_of_numpy() {
    let mut memory = Flat::new(1);
    // The counter and the key are behind the state, as in the object of numpy.
    let at = 0x100;
    let state = |(counter, buffer, position): (u64, [u64; 4], u64)| {
        let (at_counter, at_key) = (BASE + at as u64 + 0x48, BASE + at as u64 + 0x68);
        let head = [at_counter, at_key, position];
        let counter = [0, 0, counter, 0, 0, 0];
        [head.as_slice(), &buffer, &counter, &PHILOX_KEY].concat()
    };
    memory.longs(at, &state(PHILOX[0]), &state(PHILOX[1]));
    assert!(finds(memory, GeneratorKind::Philox, at, 5).bits > 200);
}

#[test]
fn chacha_of_rust() {
    let mut memory = Flat::new(1);
    let mut now = CHACHA_09;
    now[76] = 6;
    memory.words(0x100, &CHACHA_09, &now);
    assert!(finds(memory, GeneratorKind::ChaCha, 0x100 + 76 * 4, 5).bits > 200);
    let mut memory = Flat::new(1);
    let mut now = CHACHA_10;
    now[0] = 6;
    memory.words(0x100, &CHACHA_10, &now);
    assert!(finds(memory, GeneratorKind::ChaCha, 0x100 + 64 * 4, 5).bits > 200);
}

#[test]
fn small_generators_of_rust_and_javascript() {
    let mut memory = Flat::new(1);
    memory.words(0x80, &SMALL[0], &SMALL[1]);
    assert!(finds(memory, GeneratorKind::Xoshiro256, 0x80, 5).bits > 240);
    for at in [0x80, 0x84] {
        let mut memory = Flat::new(1);
        memory.words(at, &XORSHIFT[0], &XORSHIFT[1]);
        assert!(finds(memory, GeneratorKind::Xorshift128, at, 5).bits > 120);
    }
    let mut memory = Flat::new(1);
    memory.longs(0x80, &JAVASCRIPT[0], &JAVASCRIPT[1]);
    assert!(finds(memory, GeneratorKind::Xorshift128Plus, 0x80, 5).bits > 120);
}

#[test]
fn drand48_of_glibc_and_perl() {
    let mut memory = Flat::new(1);
    memory.longs(0x200, &DRAND48[0], &DRAND48[1]);
    assert!(finds(memory, GeneratorKind::Lcg48, 0x200, 5).bits > 64);
    let mut memory = Flat::new(1);
    memory.longs(0x200, &DRAND48[0][..1], &DRAND48[1][..1]);
    let bits = finds(memory, GeneratorKind::Lcg48, 0x200, 5).bits;
    assert!((40..48).contains(&bits), "{bits}");
    // Perl 5.36 after srand(42): the seed and 0x330e.
    let seed = 42 << 16 | 0x330e;
    let step =
        |state: u64| 0x5_deec_e66d_u64.wrapping_mul(state).wrapping_add(11) & ((1 << 48) - 1);
    let mut memory = Flat::new(1);
    memory.longs(0x200, &[seed], &[step(step(seed))]);
    finds(memory, GeneratorKind::Lcg48, 0x200, 2);
}

#[test]
fn random_of_glibc() {
    for Additive { kind: [kind, degree, separation], front, then, now } in ADDITIVE {
        let mut memory = Flat::new(1);
        let table = BASE + 0x84;
        let degree_long = u64::from(*degree);
        let data = |front: u64| {
            let rear = (front + degree_long - u64::from(*separation)) % degree_long;
            [
                table + front * 4,
                table + rear * 4,
                table,
                u64::from(*kind) | degree_long << 32,
                u64::from(*separation),
                table + degree_long * 4,
            ]
        };
        memory.longs(0x10, &data(front[0]), &data(front[1]));
        memory.words(0x84, then, now);
        assert!(finds(memory, GeneratorKind::Additive, 0x10, 5).bits > 200);
    }
}

/// The words of `std::mt19937(seed)`, and what it gives.
fn seeded(seed: u32) -> mt19937::Words {
    let mut words = [seed; mt19937::N];
    for at in 1..mt19937::N {
        let before = words[at - 1];
        words[at] = 1_812_433_253_u32.wrapping_mul(before ^ before >> 30).wrapping_add(at as u32);
    }
    words
}

fn seeded_64(seed: u64) -> wide::Words {
    let mut words = [seed; wide::N];
    for at in 1..wide::N {
        let before = words[at - 1];
        let next = 6_364_136_223_846_793_005_u64.wrapping_mul(before ^ before >> 62);
        words[at] = next.wrapping_add(at as u64);
    }
    words
}

/// ISO/IEC 14882:2020, [rand.predef]: the 10,000th number of a generator made without arguments.
#[test]
fn the_mersenne_twisters_of_the_standard() {
    let mut words = seeded(5489);
    (0..17).for_each(|_| mt19937::refill(&mut words));
    let mut y = words[9_999 % mt19937::N];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c_5680;
    y ^= y << 15 & 0xefc6_0000;
    assert_eq!(y ^ y >> 18, 4_123_659_995);

    let mut words = seeded_64(5489);
    (0..33).for_each(|_| wide::refill(&mut words));
    let mut y = words[9_999 % wide::N];
    y ^= y >> 29 & 0x5555_5555_5555_5555;
    y ^= y << 17 & 0x71d6_7fff_eda6_0000;
    y ^= y << 37 & 0xfff7_eee0_0000_0000;
    assert_eq!(y ^ y >> 43, 9_981_545_732_273_789_042);
}

/// One of CPython: the position before the words, the object across a page's end.
fn of_python(then: (u32, &mt19937::Words), now: (u32, &mt19937::Words)) -> (Flat, usize) {
    let mut memory = Flat::new(3);
    let at = PAGE - 0x200;
    let state =
        |(position, words): (u32, &mt19937::Words)| [&[position], words.as_slice()].concat();
    memory.words(at, &state(then), &state(now));
    (memory, at + 4)
}

#[test]
fn a_mersenne_twister_that_was_refilled() {
    let mut once = seeded(7);
    mt19937::refill(&mut once);
    let (memory, at) = of_python((624, &seeded(7)), (5, &once));
    let hit = finds(memory, GeneratorKind::Mt19937, at, 5);
    assert!(hit.bits > 10_000);
    let mut later = once;
    (0..3).for_each(|_| mt19937::refill(&mut later));
    let (memory, at) = of_python((600, &once), (4, &later));
    finds(memory, GeneratorKind::Mt19937, at, 3 * 624 - 596);
}

#[test]
fn of_a_mersenne_twister_whose_position_moved_the_seed_may_prove_it() {
    let mut words = seeded(7);
    mt19937::refill(&mut words);
    let (memory, at) = of_python((5, &words), (9, &words));
    assert!(finds(memory, GeneratorKind::Mt19937, at, 4).bits > 10_000, "of a seed");
    // Words of no seed.
    let mut word = 1_u64;
    let words = words.map(|_| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (word >> 32) as u32
    });
    let (memory, at) = of_python((5, &words), (9, &words));
    assert_eq!(finds(memory, GeneratorKind::Mt19937, at, 4).bits, 0);
}

#[test]
fn the_mersenne_twisters_of_cxx() {
    let mut refilled = seeded(7);
    mt19937::refill(&mut refilled);
    let wide_of = |words: &mt19937::Words, position: u64| {
        [words.map(u64::from).as_slice(), &[position]].concat()
    };
    let mut memory = Flat::new(3);
    memory.longs(0x700, &wide_of(&seeded(7), 624), &wide_of(&refilled, 5));
    finds(memory, GeneratorKind::Mt19937, 0x700, 5);
    let mut memory = Flat::new(3);
    memory.longs(0x700, &wide_of(&refilled, 5), &wide_of(&refilled, 8));
    assert!(finds(memory, GeneratorKind::Mt19937, 0x700, 3).bits > 10_000);

    let mut refilled = seeded_64(7);
    wide::refill(&mut refilled);
    let state = |words: &wide::Words, position: u64| [words.as_slice(), &[position]].concat();
    let mut memory = Flat::new(2);
    memory.longs(0x700, &state(&seeded_64(7), 312), &state(&refilled, 5));
    finds(memory, GeneratorKind::Mt19937x64, 0x700, 5);
    let mut memory = Flat::new(2);
    memory.longs(0x700, &state(&refilled, 5), &state(&refilled, 8));
    assert!(finds(memory, GeneratorKind::Mt19937x64, 0x700, 3).bits > 10_000);
}

/// libc++ makes one word at a time.
#[test]
fn a_mersenne_twister_that_is_refilled_word_by_word() {
    let mut now = seeded(7);
    for at in 0..5 {
        now[at] = mt19937::mixed(now[at], now[at + 1], now[at + 397]);
    }
    let wide = |words: &mt19937::Words, position: u64| {
        [words.map(u64::from).as_slice(), &[position]].concat()
    };
    let mut memory = Flat::new(3);
    memory.longs(0x700, &wide(&seeded(7), 0), &wide(&now, 5));
    assert!(finds(memory, GeneratorKind::Mt19937, 0x700, 5).bits > 100);
}

/// Ruby has the address of the next word.
#[test]
fn a_mersenne_twister_with_its_own_address() {
    let mut words = seeded(7);
    mt19937::refill(&mut words);
    let table = BASE + 0x100;
    let state = |position: u32| {
        let next = table + u64::from(position) * 4;
        [words.as_slice(), &[next as u32, (next >> 32) as u32, 625 - position]].concat()
    };
    let mut memory = Flat::new(1);
    memory.words(0x100, &state(5), &state(9));
    assert!(finds(memory, GeneratorKind::Mt19937, 0x100, 4).bits >= 64);
}

#[test]
fn the_first_c_libraries_and_pcg32() {
    let step = |state: u64, increment: u64| {
        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(increment)
    };
    // musl: srand(42).
    let then = (0..3).fold(41, |state, _| step(state, 1));
    let now = (0..7).fold(then, |state, _| step(state, 1));
    let mut memory = Flat::new(1);
    memory.longs(0x18, &[then], &[now]);
    assert!(finds(memory, GeneratorKind::Lcg64, 0x18, 7).bits > 50);
    let increment = 0x0a02_bdbf_7bb3_c0a7;
    let now = (0..7).fold(then, |state, _| step(state, increment));
    let mut memory = Flat::new(1);
    memory.longs(0x18, &[then, increment], &[now, increment]);
    assert!(finds(memory, GeneratorKind::Pcg32, 0x18, 7).bits > 50);
}

#[test]
fn two_processes_with_one_inherited_state_are_known_by_it() {
    let state = |now: [u64; 3]| {
        let mut memory = Flat::new(1);
        memory.longs(0x200, &DRAND48[0], &now);
        memory.search().hits[0]
    };
    let next = 0x5_deec_e66d_u64.wrapping_mul(DRAND48[1][0]).wrapping_add(11) & ((1 << 48) - 1);
    let later = state([next, DRAND48[1][1], DRAND48[1][2]]);
    assert_eq!((state(DRAND48[1]).inherited, later.steps), (later.inherited, 6));
}

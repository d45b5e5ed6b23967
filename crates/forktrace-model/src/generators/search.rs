//! Where generators may be: each word that has changed says which of them are worth a test there.

use super::{
    Hit, Memory, PAGE, When, additive,
    bits::{Pair, looks_random, word_looks_random},
    chacha, lcg, mt19937, mt19937_64, pcg, philox, sfc64, xorshift,
};
use crate::event::GeneratorKind;

/// What was found in the memory of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The generators that have moved, by address.
    pub hits: Vec<Hit>,
    /// How many pages were searched.
    pub pages: u32,
    /// There was too much to do, or a page could not be read: not everything was searched.
    pub cut: bool,
}

/// Bytes after a page that are read with it.
const BEYOND: usize = 64;
/// Words of 64 bits in a page and after it.
const LONGS: usize = (PAGE + BEYOND) / 8;

/// Most work of one search, in steps of a nanosecond or so.
const MOST_WORK: u64 = 12_000_000;
/// What a page and a test take of it.
const PAGE_WORK: u64 = 4_000;
const TEST_WORK: u64 = 150;
/// One step of a generator of a few words.
const STEP_WORK: u64 = 3;

/// Most bytes that have changed in a row where a generator of a few words is looked for in earnest, and
/// steps that are tried in longer ones.
const SMALL_RUN: usize = 256;
const NEAR_STEPS: u64 = 8;

/// Bytes that have changed in a row for a refilled Mersenne Twister, at least.
const RUN: u64 = (mt19937::N as u64 * 4) - 32;
/// Bytes of a run that are looked at at once, and those that the next piece has too.
const PIECE: usize = 1 << 18;
const OVERLAP: usize = mt19937::N * 8;

/// Searches the pages that begin at `pages`, in ascending order: those that the process has written since
/// its fork.
pub fn search(memory: &mut dyn Memory, pages: &[u64]) -> Search {
    let mut seeker = Seeker { memory, found: Search::default(), work: 0 };
    let mut run: Option<(u64, u64)> = None;
    for start in pages {
        if seeker.work > MOST_WORK {
            seeker.found.cut = true;
            break;
        }
        let Some(page) = Page::read(seeker.memory, *start) else {
            seeker.found.cut = true;
            continue;
        };
        seeker.found.pages += 1;
        seeker.work += PAGE_WORK;
        let runs = page.runs();
        for (at, len) in &runs {
            let (begin, end) = (start.wrapping_add(*at as u64), (*at + *len) as u64);
            let end = start.wrapping_add(end);
            match &mut run {
                Some((_, before)) if *before == begin => *before = end,
                _ => {
                    let over = run.replace((begin, end));
                    seeker.run(over);
                }
            }
        }
        seeker.page(&page, &runs);
    }
    seeker.run(run);
    let mut found = seeker.found;
    found.hits.sort_by_key(|hit| (hit.address, hit.kind));
    found.hits.dedup_by_key(|hit| (hit.address, hit.kind));
    found
}

/// A page, and the first bytes after it, at the fork and now.
struct Page {
    start: u64,
    then: [u64; LONGS],
    now: [u64; LONGS],
}

impl Page {
    fn read(memory: &mut dyn Memory, start: u64) -> Option<Self> {
        let mut read = |when| {
            let mut bytes = vec![0; PAGE + BEYOND];
            let whole = memory.read(when, start, &mut bytes);
            if !whole {
                bytes.fill(0);
                let page = bytes.get_mut(..PAGE)?;
                memory.read(when, start, page).then_some(())?;
            }
            Some(super::bits::longs(&bytes))
        };
        Some(Page { start, then: read(When::Fork)?, now: read(When::Now)? })
    }

    /// Where words of 64 bits have changed in a row: offset and length, bytes.
    fn runs(&self) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        let pairs = self.then.iter().zip(&self.now).take(PAGE / 8);
        for (at, _) in pairs.enumerate().filter(|(_, (then, now))| then != now) {
            let at = at * 8;
            match runs.last_mut() {
                Some((begin, len)) if *begin + *len == at => *len += 8,
                _ => runs.push((at, 8)),
            }
        }
        runs
    }

    fn longs(&self, when: When, at: usize) -> [u64; 4] {
        let longs = match when {
            When::Fork => &self.then,
            When::Now => &self.now,
        };
        longs.get(at / 8..).and_then(|longs| longs.first_chunk()).copied().unwrap_or_default()
    }

    fn long(&self, when: When, at: usize) -> u64 {
        self.longs(when, at)[0]
    }

    /// One of the words of 32 bits.
    fn word(&self, when: When, at: usize) -> u32 {
        (self.long(when, at) >> (at % 8 * 8)) as u32
    }
}

struct Seeker<'a> {
    memory: &'a mut dyn Memory,
    found: Search,
    work: u64,
}

impl Seeker<'_> {
    fn page(&mut self, page: &Page, runs: &[(usize, usize)]) {
        for (begin, len) in runs {
            for at in (*begin..begin + len).step_by(8) {
                if self.work > MOST_WORK {
                    self.found.cut = true;
                    return;
                }
                self.word(page, at, *len);
            }
        }
    }

    /// One word of 64 bits that has changed, `at` in its page.
    fn word(&mut self, page: &Page, at: usize, run: usize) {
        let (then, now) = (page.longs(When::Fork, at), page.longs(When::Now, at));
        let address = page.start.wrapping_add(at as u64);
        self.work += TEST_WORK;
        for at in [at, at + 4] {
            let (then, now) = (page.word(When::Fork, at), page.word(When::Now, at));
            if then != now {
                self.position(page.start.wrapping_add(at as u64), then, now);
            }
        }
        self.pointed(address, &then, &now);
        self.congruential(address, &then, &now);
        self.mixed(address, &then, &now, run);
    }

    fn test(&mut self, test: super::Test, address: u64) {
        let mut pair = Pair::new(self.memory);
        let hit = test(&mut pair, address);
        self.work += pair.work;
        self.hit(hit);
    }

    fn hit(&mut self, hit: Option<Hit>) {
        let Some(hit) = hit else { return };
        // Of two Mersenne Twisters in one place the one that is proven is it.
        let twisters = [GeneratorKind::Mt19937, GeneratorKind::Mt19937x64];
        let is_twister = |hit: &Hit| twisters.contains(&hit.kind);
        let near = |other: &Hit| other.address.abs_diff(hit.address) < RUN;
        let same = |other: &&mut Hit| is_twister(other) && is_twister(&hit) && near(other);
        match self.found.hits.iter_mut().find(same) {
            Some(other) if other.bits < hit.bits => *other = hit,
            Some(_) => {}
            None => self.found.hits.push(hit),
        }
    }

    /// Linear congruential generators.
    fn congruential(&mut self, address: u64, then: &[u64; 4], now: &[u64; 4]) {
        if now[0] >> 48 == 0 || now[2] == lcg::MULTIPLIER_48 {
            self.test(lcg::test_48, address);
        }
        if looks_random(now[0]) {
            self.test(lcg::test_64, address);
            if then[1] == now[1] && now[1] & 1 != 0 {
                self.test(pcg::test_32, address);
            }
        }
        if then[2..] == now[2..] && now[2] & 1 != 0 && looks_random(now[1]) {
            self.test(pcg::test_64, address);
            self.test(pcg::test_dxsm, address);
        }
    }

    /// Generators that mix a few words. `run`: so many bytes have changed in a row here. Of a large piece
    /// of memory that is all new only the nearest steps are tried.
    fn mixed(&mut self, address: u64, then: &[u64; 4], now: &[u64; 4], run: usize) {
        let count = (0..4).take_while(|at| then[*at] != now[*at]).count();
        if then[0] == 0 || are_plain(then[..2].iter().chain(&now[..2])) {
            return;
        }
        if count == 4 && now[3].wrapping_sub(then[3]) <= 1 << 16 {
            self.test(sfc64::test, address);
        }
        let most = if run <= SMALL_RUN { xorshift::MOST } else { NEAR_STEPS };
        let mut tried = 0;
        let guess = xorshift::guess(then, now, count, most, &mut tried);
        self.work += tried * STEP_WORK;
        if let Some((kind, offset)) = guess {
            let hit = super::test(kind, self.memory, address.wrapping_add(offset));
            self.hit(hit);
        }
    }

    /// What has addresses of its own.
    fn pointed(&mut self, address: u64, then: &[u64; 4], now: &[u64; 4]) {
        let near =
            |a: u64, b: u64, most: u64| a.abs_diff(b) <= most && a.abs_diff(b).is_multiple_of(4);
        if near(now[0], then[0], 256) && near(now[0], now[2], 256) {
            self.test(additive::test, address);
        }
        let words = mt19937::N as u64 * 4;
        if near(now[0], then[0], words) && near(now[0], address, words + 16) {
            for table in
                [address.wrapping_sub(words), address.wrapping_add(16), address.wrapping_add(12)]
            {
                self.twister(table);
            }
        }
        let position = |long: u64| long as u32 <= 4;
        if position(then[0]) && position(now[0]) && looks_random(now[1]) {
            self.test(philox::test, address.wrapping_sub(16));
        } else if looks_random(now[0]) && looks_random(now[1]) {
            // Four at once: the position is what it was.
            let before = Pair::new(self.memory).long(address.wrapping_sub(8));
            if before.is_some_and(|before| before.now as u32 <= 4) {
                self.test(philox::test, address.wrapping_sub(24));
            }
        }
    }

    /// Generators with a table and the number of the next word in it, which moved.
    fn position(&mut self, address: u64, then: u32, now: u32) {
        let counter = chacha::CONSTANTS[0];
        let mut is = |at: u64, word: u32| {
            Pair::new(self.memory).word(at).is_some_and(|there| there.now == word)
        };
        let small = |most: u64| u64::from(then) <= most && u64::from(now) <= most;
        let mut whole = Vec::new();
        if now.wrapping_sub(then) <= 1 << 18 && is(address.wrapping_sub(48), counter) {
            whole.push(address.wrapping_sub(48));
        }
        if small(chacha::WORDS) {
            let around = [address.wrapping_sub(64), address.wrapping_add(256)];
            whole.extend(around.into_iter().filter(|at| is(*at, counter)));
            whole.push(address);
        }
        for address in whole {
            self.test(chacha::test, address);
        }
        if !small(mt19937::N as u64) {
            return;
        }
        let packed = mt19937::N as u64 * 4;
        for table in
            [address.wrapping_add(4), address.wrapping_add(8), address.wrapping_sub(packed)]
        {
            self.twister(table);
        }
        let wide = address.wrapping_sub(packed * 2);
        if let Some(longs) = Pair::new(self.memory).longs::<4>(wide)
            && longs.now.iter().all(|long| u32::try_from(*long).is_ok_and(word_looks_random))
        {
            self.test(mt19937::test, wide);
        }
        let table = address.wrapping_sub(mt19937_64::N as u64 * 8);
        if let Some(longs) = Pair::new(self.memory).longs::<4>(table)
            && longs.now.iter().all(|long| looks_random(*long))
            && !are_plain(longs.now.iter())
        {
            self.test(mt19937_64::test, table);
        }
    }

    /// A Mersenne Twister with words of 4 bytes, if the first of them may be its.
    fn twister(&mut self, table: u64) {
        let Some(words) = Pair::new(self.memory).words::<8>(table) else { return };
        let random = |words: &[u32; 8]| words.iter().all(|word| word_looks_random(*word));
        // At the fork the first may be the seed.
        if random(&words.now) {
            self.test(mt19937::test, table);
        }
    }

    /// Bytes that have changed in a row: a Mersenne Twister that was refilled once may be among them.
    fn run(&mut self, run: Option<(u64, u64)>) {
        let Some((start, end)) = run.filter(|(start, end)| end - start >= RUN) else { return };
        let mut piece = start.wrapping_sub(4);
        while piece < end && self.work <= MOST_WORK {
            let left = usize::try_from(end - piece).unwrap_or(usize::MAX).saturating_add(8);
            self.piece(piece, left.min(PIECE));
            piece = piece.saturating_add((PIECE - OVERLAP) as u64);
        }
        self.found.cut |= self.work > MOST_WORK;
    }

    fn piece(&mut self, start: u64, len: usize) {
        self.work += len as u64;
        let Some(window) = Pair::new(self.memory).bytes(start, len) else { return };
        let words = |bytes: &[u8]| -> Vec<u32> {
            bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
        };
        let (then, now) = (words(&window.then), words(&window.now));
        for at in 0..then.len() {
            let address = start.wrapping_add(at as u64 * 4);
            if refilled(&then, &now, at, 1)
                || address.is_multiple_of(8) && refilled(&then, &now, at, 2)
            {
                self.test(mt19937::test, address);
            }
            if address.is_multiple_of(8) && refilled_64(&then, &now, at) {
                self.test(mt19937_64::test, address);
            }
        }
    }
}

/// The last word that is made of old words alone: the words around it say where the table begins.
const LAST_OF_OLD: usize = 226;
const LAST_OF_OLD_64: usize = 155;

/// Whether the words of a Mersenne Twister that begins here, `stride` words apart, were refilled once.
fn refilled(then: &[u32], now: &[u32], at: usize, stride: usize) -> bool {
    let word = |words: &[u32], index: usize| words.get(at + index * stride).copied();
    let is_new = |index: usize| {
        let (first, second) = (word(then, index)?, word(then, index + 1)?);
        Some(word(now, index)? == mt19937::mixed(first, second, word(then, index + 397)?))
    };
    [0, LAST_OF_OLD].into_iter().all(|index| is_new(index) == Some(true))
}

/// The same of one with words of 64 bits.
fn refilled_64(then: &[u32], now: &[u32], at: usize) -> bool {
    let word = |words: &[u32], index: usize| {
        let low = words.get(at + index * 2)?;
        Some(u64::from(*low) | u64::from(*words.get(at + index * 2 + 1)?) << 32)
    };
    let is_new = |index: usize| {
        let (first, second) = (word(then, index)?, word(then, index + 1)?);
        Some(word(now, index)? == mt19937_64::mixed(first, second, word(then, index + 156)?))
    };
    [0, LAST_OF_OLD_64].into_iter().all(|index| is_new(index) == Some(true))
}

/// Whether words are text, or floating-point numbers of usual size, rather than random.
fn are_plain<'a>(words: impl Iterator<Item = &'a u64> + Clone) -> bool {
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    let is_float = |word: &u64| matches!(word >> 56, 0x3f | 0x40 | 0xbf | 0xc0);
    words.clone().all(|word| word & HIGH_BITS == 0) || words.clone().all(is_float)
}

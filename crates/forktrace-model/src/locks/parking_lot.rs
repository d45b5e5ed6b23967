//! The `parking_lot` crate's `Mutex`, `RwLock` and `Once` (and what is made of them: its
//! `ReentrantMutex`, `FairMutex`, `OnceCell`).
//!
//! A waiter waits on a word of its own thread's `ThreadData`, which also holds the address of the
//! lock, its *key*. Facts, read at parking_lot 0.12.5 and parking_lot_core 0.9.12 and seen in the
//! memory of a program built by rustc 1.95: members of `ThreadData` (`core/src/parking_lot.rs`),
//! whose order the compiler chooses: words before halves; the parker's word is 1 while parked, and
//! waited on with `FUTEX_WAIT` and the same 1 (`core/src/thread_parker/linux.rs`); bits, keys and
//! park tokens of the locks (`src/raw_mutex.rs`, `src/raw_rwlock.rs`, `src/once.rs`). A writer that
//! waits for the readers to leave has the key one past the lock's address. A condition variable
//! parks with a mutex's token, but has a pointer where a mutex has its bits.
//!
//! The layout is neither promised nor marked: every member is checked before the key is believed,
//! and a lock is recognised only if its bits say "held, with waiters" themselves.

use forktrace_common::futex::FUTEX_WAIT;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, Word, WordFact,
    family::FamilyRemedy, neighbours::was_there, unproven,
};
use crate::{
    arch::Machine,
    event::{Mapping, Wait, Window},
};

/// Members of `ThreadData`; the futex word is its parker.
const KEY: u64 = 0;
const NEXT_IN_QUEUE: u64 = 8;
const UNPARK_TOKEN: u64 = 16;
const PARK_TOKEN: u64 = 24;
const PARKER: u64 = 32;
const PARKED_WITH_TIMEOUT: u64 = 36;

/// `DEFAULT_PARK_TOKEN`: a mutex, once or condition variable.
const TOKEN_DEFAULT: u64 = 0;
/// `TOKEN_EXCLUSIVE`, `TOKEN_SHARED` and `TOKEN_UPGRADABLE` of a read-write lock.
const TOKEN_EXCLUSIVE: u64 = RW_WRITER;
const TOKEN_SHARED: u64 = RW_ONE_READER;
const TOKEN_UPGRADABLE: u64 = RW_ONE_READER | RW_UPGRADABLE;

/// Bits of a mutex.
const MUTEX_LOCKED: u8 = 1;
const MUTEX_PARKED: u8 = 2;
/// Bits of a once.
const ONCE_DONE: u8 = 1;
const ONCE_POISON: u8 = 2;
const ONCE_LOCKED: u8 = 4;
const ONCE_PARKED: u8 = 8;
/// Bits of a read-write lock.
const RW_PARKED: u64 = 1;
const RW_WRITER_PARKED: u64 = 2;
const RW_UPGRADABLE: u64 = 4;
const RW_WRITER: u64 = 8;
const RW_ONE_READER: u64 = 16;

/// Most readers believed: every one is a thread, or one that reads again.
const MAX_READERS: u64 = super::TID_LIMIT as u64;

const HELD: State = State::Held { owner: None };

pub(super) static MUTEX: LockFamily =
    LockFamily::new("parking-lot-mutex", "parking_lot Mutex", Language::Rust);
pub(super) static ONCE: LockFamily = LockFamily {
    remedy: FamilyRemedy::Once,
    ..LockFamily::new("parking-lot-once", "parking_lot Once", Language::Rust)
};
pub(super) static FOR_WRITING: LockFamily = LockFamily::new(
    "parking-lot-rwlock-writing",
    "parking_lot RwLock (held for writing)",
    Language::Rust,
);
pub(super) static FOR_READING: LockFamily = LockFamily::new(
    "parking-lot-rwlock-reading",
    "parking_lot RwLock (held for reading)",
    Language::Rust,
);

/// Recognises the crate's locks.
pub(super) struct ParkingLot;

impl Decoder for ParkingLot {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let parked = Parked::at(scene.wait, scene.now, scene.machine)?;
        let address = parked.lock();
        let place = scene.target.filter(|place| place.address == address)?;
        let (Some(mapping), Some(now)) = (&place.mapping, &place.now) else { return None };
        let hold = parked.hold(now)?;
        let bits = |window: &Window| hold.bits(window, address);
        let value = bits(now)?;
        let then = place.at_fork.known().and_then(bits);
        let (at_fork, since) = match place.at_fork.known() {
            Some(window) => hold.states(then, address, mapping, now, window),
            None => (State::Unknown, HELD),
        };
        Some(Reading {
            family: hold.family(),
            address,
            at_fork,
            now: since,
            value_at_fork: then.map(low_half),
            value: low_half(value),
            word: WordFact::now(Part::State, Base::Hex, hold.word(value))
                .inherited(then.map(|bits| hold.word(bits)))
                .identity(unproven(at_fork, then.is_some())),
        })
    }

    fn target(&self, wait: &Wait, now: &Window, machine: Machine) -> Option<u64> {
        Parked::at(wait, now, machine).map(|parked| parked.lock())
    }
}

/// The log has 32 bits for a lock's word; the bits that matter are the low ones.
fn low_half(bits: u64) -> u32 {
    u32::try_from(bits & u64::from(u32::MAX)).unwrap_or_default()
}

/// What a parked thread says of itself.
#[derive(Clone, Copy, Debug)]
struct Parked {
    key: u64,
    token: u64,
}

impl Parked {
    fn at(wait: &Wait, now: &Window, machine: Machine) -> Option<Self> {
        if wait.command() != FUTEX_WAIT || !wait.is_private() || wait.val != 1 {
            return None;
        }
        let data = wait.uaddr.checked_sub(PARKER).filter(|at| at.is_multiple_of(8))?;
        let long = |offset: u64| now.long(data.checked_add(offset)?);
        let parked = now.word(wait.uaddr) == Some(1)
            && now.byte(data.checked_add(PARKED_WITH_TIMEOUT)?) == Some(0)
            // TOKEN_NORMAL or TOKEN_HANDOFF, of the last time.
            && matches!(long(UNPARK_TOKEN), Some(0 | 1))
            && long(NEXT_IN_QUEUE).is_some_and(|next| next < machine.arch.address_limit && next.is_multiple_of(8));
        let this = Parked { key: long(KEY)?, token: long(PARK_TOKEN)? };
        let known = match this.token {
            TOKEN_DEFAULT => true,
            TOKEN_EXCLUSIVE => this.key % 8 <= 1,
            TOKEN_SHARED | TOKEN_UPGRADABLE => this.key.is_multiple_of(8),
            _ => false,
        };
        // Nothing is mapped in the first page.
        let addresses = machine.page_size..machine.arch.address_limit;
        (parked && known && addresses.contains(&this.key)).then_some(this)
    }

    /// The lock's address. Only a read-write lock has a second key.
    fn lock(&self) -> u64 {
        if self.token == TOKEN_DEFAULT { self.key } else { self.key & !1 }
    }

    /// What the thread waits for, if it can wait there in this state.
    fn hold(&self, now: &Window) -> Option<Hold> {
        let lock = self.lock();
        if self.token == TOKEN_DEFAULT {
            let byte = now.byte(lock)?;
            let once = byte & !ONCE_POISON == ONCE_LOCKED | ONCE_PARKED;
            return match byte == MUTEX_LOCKED | MUTEX_PARKED {
                true => Some(Hold::Mutex),
                false => once.then_some(Hold::Once),
            };
        }
        let state = now.long(lock)?;
        if self.key != lock {
            // It has the writer's bit itself and waits for the readers alone.
            let last = state & (RW_WRITER | RW_WRITER_PARKED) == RW_WRITER | RW_WRITER_PARKED;
            return (last && readers(state) > 0).then_some(Hold::Reading);
        }
        if state & RW_PARKED == 0 {
            return None;
        }
        rw_hold(state)
    }
}

/// How a read-write lock is held, if it is. With readers inside, the writer's bit is that of one
/// who waits for them.
fn rw_hold(state: u64) -> Option<Hold> {
    match readers(state) {
        0 if state & RW_WRITER != 0 => Some(Hold::Writing),
        1..MAX_READERS => Some(Hold::Reading),
        _ => None,
    }
}

fn readers(state: u64) -> u64 {
    state / RW_ONE_READER
}

/// What a lock is held as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Mutex,
    Once,
    Writing,
    Reading,
}

impl Hold {
    fn family(self) -> &'static LockFamily {
        match self {
            Hold::Mutex => &MUTEX,
            Hold::Once => &ONCE,
            Hold::Writing => &FOR_WRITING,
            Hold::Reading => &FOR_READING,
        }
    }

    /// The bits of such a lock.
    fn bits(self, window: &Window, address: u64) -> Option<u64> {
        match self {
            Hold::Mutex | Hold::Once => window.byte(address).map(u64::from),
            Hold::Writing | Hold::Reading => window.long(address),
        }
    }

    /// Whether bits say "held". Bits that are no such lock's say that there was nothing to hold.
    fn is_held(self, bits: u64) -> bool {
        let byte = bits as u8;
        match self {
            Hold::Mutex => matches!(byte & !MUTEX_PARKED, MUTEX_LOCKED),
            Hold::Once => {
                byte & ONCE_LOCKED != 0 && byte & ONCE_DONE == 0 && byte < 2 * ONCE_PARKED
            }
            Hold::Writing | Hold::Reading => rw_hold(bits).is_some(),
        }
    }

    /// The lock as inherited, and whether that hold is still on.
    fn states(
        self,
        then: Option<u64>,
        address: u64,
        mapping: &Mapping,
        now: &Window,
        at_fork: &Window,
    ) -> (State, State) {
        match then {
            None => (State::Unknown, HELD),
            Some(bits) if !self.is_held(bits) => (State::Free, HELD),
            // Held for writing then and for reading now, or the other way round: that hold is over.
            Some(bits) if self.is_rw() && rw_hold(bits) != Some(self) => (HELD, State::Free),
            Some(_) if was_there(address, Some(mapping), now, at_fork) => (HELD, HELD),
            Some(_) => (State::Unknown, HELD),
        }
    }

    fn is_rw(self) -> bool {
        matches!(self, Hold::Writing | Hold::Reading)
    }

    fn word(self, bits: u64) -> Word {
        let meaning = match (self.is_held(bits), self) {
            (false, _) => Meaning::Free,
            (true, Hold::Mutex) => Meaning::Locked,
            (true, Hold::Once) => Meaning::BeingRun,
            (true, _) if rw_hold(bits) == Some(Hold::Writing) => {
                Meaning::HeldForWriting { by: None }
            }
            (true, _) => Meaning::HeldByReaders(low_half(readers(bits))),
        };
        Word::new(bits, meaning)
    }
}

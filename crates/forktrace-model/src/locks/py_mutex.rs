//! CPython's `PyMutex`, a lock of one byte. `threading.Lock` is one since 3.13.1 and
//! `threading.RLock` since 3.14. 3.13's `RLock`, and in both versions the locks that C code
//! allocates (`PyThread_allocate_lock`: buffered files have one), are a `sem_t` still.
//!
//! A waiter does not wait on the byte. It queues itself and waits on a semaphore that is a local
//! variable of its own; before it in the same structure is the address of the byte. Facts, read at
//! CPython 3.13 and 3.14 and seen in the memory of 3.13.5 and 3.14.10: `struct wait_entry` and
//! `_PyParkingLot_Park` (`Python/parking_lot.c`), with `sem_t` for `_PySemaphore`
//! (`Include/internal/pycore_semaphore.h`); bits of the byte, and the address of a local variable
//! as `park_arg` (`_PyMutex_LockTimed`, `Python/lock.c`); a `PyEvent`, which threads are joined
//! with, parks with no `park_arg` and never has the lowest bit beside a waiter. `lockobject` and
//! `rlockobject` (`Modules/_threadmodule.c`): the byte is the first member after the object's head,
//! whose last word is the type; the `RLock` has the owner's `pthread_t` after it
//! (`_PyRecursiveMutex`, `Include/internal/pycore_lock.h`), and that thread's descriptor its tid.
//!
//! The layout is internal to CPython: every field is checked before the address is believed, and a
//! lock is recognised only if its byte says "held, with waiters" itself.
//!
//! The child makes these free itself, before any of its Python code runs: the parking lot, the
//! locks of the runtime (`_PyRuntimeState_ReInitThreads`, `Python/pystate.c`), the import lock
//! (`PyOS_AfterFork_Child`, `Modules/posixmodule.c`), and, by `_at_fork_reinit`, those of
//! `threading` itself, `logging`, `concurrent.futures` and `random`.

use forktrace_common::futex::{FUTEX_CLOCK_REALTIME, FUTEX_WAIT_BITSET};

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, Word, WordFact,
    family::FamilyRemedy,
    is_tid,
    neighbours::was_there,
    word_fact::{Identity, Thing},
};
use crate::{
    arch::Machine,
    event::{Place, Wait, Window},
};

/// Members of `struct wait_entry`, from its semaphore: two before it, three after it.
const PARK_ARG: u64 = 16;
const ADDR: u64 = 8;
const NODE_NEXT: u64 = 32;
const NODE_PREV: u64 = 40;
const IS_UNPARKING: u64 = 48;

/// `ob_refcnt` and `ob_type` of the object that a lock is the first member of, before the lock.
const REFERENCES: u64 = 16;
const TYPE: u64 = 8;
/// `thread` of a `_PyRecursiveMutex`, from its mutex.
const THREAD: u64 = 8;

/// `_Py_LOCKED`.
const LOCKED: u8 = 1;
/// `_Py_HAS_PARKED`.
const HAS_PARKED: u8 = 2;

/// A `sem_t` of value 0 that one thread waits for.
const ONE_WAITER: u64 = 1 << 32;

/// How far apart two local variables of a waiter's calls may be, bytes.
const FRAMES: u64 = 4096;

/// Any thread may release a `threading.Lock`, and a Python signal handler too.
pub(super) static LOCK: LockFamily = LockFamily {
    anyone_may_release: true,
    remedy: FamilyRemedy::PythonThreading,
    ..LockFamily::new("python-lock", "Python threading.Lock (PyMutex)", Language::Python)
};
pub(super) static RLOCK: LockFamily = LockFamily {
    remedy: FamilyRemedy::PythonThreading,
    ..LockFamily::new("python-rlock", "Python threading.RLock (PyMutex)", Language::Python)
};
/// A lock of C code, or of a build without the global interpreter lock.
pub(super) static OTHER: LockFamily = LockFamily {
    anyone_may_release: true,
    ..LockFamily::new("python-mutex", "Python lock (PyMutex)", Language::Python)
};

/// Recognises `PyMutex`es.
pub(super) struct PyMutex;

impl Decoder for PyMutex {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        let address = self.target(scene.wait, scene.now, scene.machine)?;
        let place = scene.target.filter(|place| place.address == address)?;
        let (Some(_), Some(now)) = (&place.mapping, &place.now) else { return None };
        let value = now.byte(address).filter(|byte| *byte == LOCKED | HAS_PARKED)?;
        let sort = Sort::of(place);
        let then = place.at_fork.known();
        let (at_fork, since) =
            then.map_or((State::Unknown, HELD), |then| states(sort, place, now, then));
        let then = then.and_then(|window| window.byte(address));
        Some(Reading {
            family: sort.family(),
            address,
            at_fork,
            now: since,
            value_at_fork: then.map(u32::from),
            value: value.into(),
            word: word_fact(value, then, sort, at_fork),
        })
    }

    fn target(&self, wait: &Wait, now: &Window, machine: Machine) -> Option<u64> {
        // How `sem_wait` waits.
        let sem_wait = wait.command() == FUTEX_WAIT_BITSET
            && wait.op & FUTEX_CLOCK_REALTIME != 0
            && wait.is_private()
            && wait.val == 0;
        let parked = || parked_for(now, wait.uaddr, machine.arch.address_limit);
        (sem_wait && wait.uaddr.is_multiple_of(8)).then(parked).flatten()
    }
}

const HELD: State = State::Held { owner: None };

/// The address in the `wait_entry` whose semaphore is at `sema`, if that is what is there.
fn parked_for(now: &Window, sema: u64, address_limit: u64) -> Option<u64> {
    let before = |offset: u64| now.long(sema.checked_sub(offset)?);
    let after = |offset: u64| now.long(sema.checked_add(offset)?);
    let is_address = |word: &u64| (1..address_limit).contains(word);
    let park_arg = before(PARK_ARG).filter(is_address)?;
    let linked = after(NODE_NEXT).filter(is_address).is_some()
        && after(NODE_PREV).filter(is_address).is_some();
    let waiting = after(0) == Some(ONE_WAITER)
        && now.word(sema.checked_add(8)?) == Some(0)
        && now.byte(sema.checked_add(IS_UNPARKING)?) == Some(0);
    let local = park_arg.abs_diff(sema) < FRAMES;
    let address = before(ADDR).filter(is_address)?;
    (linked && waiting && local && address.abs_diff(sema) > FRAMES).then_some(address)
}

/// The lock as inherited, and whether that hold is still on.
fn states(sort: Sort, place: &Place, now: &Window, then: &Window) -> (State, State) {
    let address = place.address;
    match then.byte(address) {
        None => (State::Unknown, HELD),
        Some(byte) if !is_held(byte) => (State::Free, HELD),
        Some(_) if sort == Sort::Other => {
            match was_there(address, place.mapping.as_ref(), now, then) {
                true => (HELD, HELD),
                false => (State::Unknown, HELD),
            }
        }
        Some(_) => match is_same_object(address, now, then) {
            Some(true) if sort == Sort::RLock => recursive(place, now, then),
            Some(true) => (HELD, HELD),
            // It was made after the fork, where another object or none was.
            Some(false) => (State::Free, HELD),
            None => (State::Unknown, HELD),
        },
    }
}

/// The same of a recursive lock that was held.
fn recursive(place: &Place, now: &Window, then: &Window) -> (State, State) {
    let owner = |window: &Window| window.long(place.address.checked_add(THREAD)?);
    match (owner(then), owner(now)) {
        (Some(then), Some(now)) if then == now && then != 0 => {
            let held = State::Held { owner: vanished(place, then) };
            (held, held)
        }
        (Some(_), Some(_)) => (HELD, State::Free),
        _ => (State::Unknown, HELD),
    }
}

/// The tid that an owner had at the fork, if no living thread has its `pthread_t` now. One that has
/// it could release the lock.
fn vanished(place: &Place, owner: u64) -> Option<u32> {
    let thread = place.owner.as_ref().filter(|thread| thread.address == owner)?;
    thread.tid_at_fork.filter(|tid| is_tid(*tid) && thread.tid == Some(0))
}

/// Whether the object of a lock was one of the same type and alive at the fork; `None`: the bytes
/// are not known. One that was freed has its type still; but where the references are counted a
/// free block has the address of the next one, or zero (`pymalloc_free`, `Objects/obmalloc.c`,
/// CPython 3.13 and 3.14).
fn is_same_object(address: u64, now: &Window, then: &Window) -> Option<bool> {
    let before = |window: &Window, offset: u64| window.long(address.checked_sub(offset)?);
    let same_type = before(now, TYPE)? == before(then, TYPE)?;
    Some(same_type && (1..1 << 32).contains(&before(then, REFERENCES)?))
}

/// Whether a byte is that of a mutex that somebody holds. Other bits are no mutex's.
fn is_held(byte: u8) -> bool {
    byte & LOCKED != 0 && byte & !(LOCKED | HAS_PARKED) == 0
}

/// What a mutex is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Lock,
    RLock,
    /// A lock of C code, or of a build without the global interpreter lock, whose objects are laid
    /// out otherwise.
    Other,
}

impl Sort {
    fn of(place: &Place) -> Self {
        match place.python_type.as_deref() {
            Some("_thread.lock") => Sort::Lock,
            Some("_thread.RLock") => Sort::RLock,
            _ => Sort::Other,
        }
    }

    fn family(self) -> &'static LockFamily {
        match self {
            Sort::Lock => &LOCK,
            Sort::RLock => &RLOCK,
            Sort::Other => &OTHER,
        }
    }

    /// What says that a lock which was held at the fork is the same lock now.
    fn same(self, owner: Option<u32>) -> Identity {
        match self {
            Sort::Lock | Sort::RLock => Identity::SameObject { owner },
            Sort::Other => Identity::SameNeighbours,
        }
    }
}

fn word_fact(value: u8, then: Option<u8>, sort: Sort, at_fork: State) -> WordFact {
    let word =
        |byte: u8| Word::new(byte, if is_held(byte) { Meaning::Held } else { Meaning::Free });
    let identity = match at_fork {
        State::Held { owner } => Some(sort.same(owner)),
        State::Unknown => Some(Identity::Unproven(Thing::Lock)),
        State::Free | State::HeldUnproven => None,
    };
    WordFact::now(Part::Byte, Base::Decimal, word(value))
        .inherited(then.map(word))
        .identity(identity.filter(|_| then.is_some()))
}

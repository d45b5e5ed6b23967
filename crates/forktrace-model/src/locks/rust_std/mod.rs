//! Rust's standard library: `Mutex`, `RwLock`, `Once` and what is made of them (`OnceLock`,
//! `LazyLock`, the lock of `stdout`).
//!
//! Each is a bare word or two in the middle of anything, with no owner and nothing around it that
//! could be checked. What tells them is how they wait: `FUTEX_WAIT_BITSET`, private, on the
//! monotonic clock even without a timeout (`futex_wait`, `std/src/sys/pal/unix/futex.rs`, Rust
//! 1.95). glibc waits with `FUTEX_WAIT` for a mutex and on the realtime clock for everything else
//! that has no timeout (`nptl/futex-internal.c` and its callers, glibc 2.36 to 2.42), musl with
//! `FUTEX_WAIT`.
//!
//! The library's `Condvar` and `thread::park` wait in the same way. `park` expects `u32::MAX`. A
//! condition variable expects the number of its notifications so far, which may be any number: a
//! word that has been the same since the fork, as that of a mutex that others waited for already,
//! is therefore left alone. One that has changed since is a lock's: each change of a condition
//! variable's word is followed by a `FUTEX_WAKE` of it, and a word that the child has woken is no
//! inherited lock's (the verdict's gates).
//!
//! Layouts, values and waits read at Rust 1.95. Other releases may number the states of a `Once`
//! otherwise; those waits are not recognised.

pub(super) mod mutex;
pub(super) mod once;
pub(super) mod rwlock;

use forktrace_common::futex::{FUTEX_PRIVATE_FLAG, FUTEX_WAIT_BITSET};

use super::{
    Base, Language, LockFamily, Meaning, Part, Scene, State, Word, WordFact, neighbours::was_there,
    unproven,
};
use crate::event::Wait;

/// A lock of the standard library, whose condition variables look the same.
const fn family(id: &'static str, name: &'static str) -> LockFamily {
    LockFamily { may_be_event: true, ..LockFamily::new(id, name, Language::Rust) }
}

/// The value that a wait of the standard library expects; `None` for others' waits.
fn expected(wait: &Wait) -> Option<u32> {
    let theirs = wait.op == FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG && !wait.timed;
    (theirs && wait.uaddr.is_multiple_of(4)).then(|| u32::try_from(wait.val).ok()).flatten()
}

/// What is proven by a word at `address` that was `then` at the fork and is `now` waited for, both
/// being values of a held lock. `None`: it could as well be no lock.
fn held(scene: &Scene<'_>, address: u64, then: u32, now: u32) -> Option<State> {
    let at_fork = scene.at_fork?;
    // Static data is never anything else.
    let proven = scene.module.is_some() || was_there(address, scene.mapping, scene.now, at_fork);
    let state = if proven { State::Held { owner: None } } else { State::Unknown };
    (then != now).then_some(state)
}

/// The facts of the word that was `then` at the fork.
fn word_fact(
    then: Option<u32>,
    now: u32,
    at_fork: State,
    meaning: impl Fn(u32) -> Meaning,
) -> WordFact {
    let word = |bits| Word::new(bits, meaning(bits));
    WordFact::now(Part::Word, Base::Hex, word(now))
        .inherited(then.map(word))
        .identity(unproven(at_fork, then.is_some()))
}

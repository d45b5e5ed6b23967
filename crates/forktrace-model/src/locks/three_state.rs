//! Mutexes that are a word and no more: 0 is free, 1 locked, 2 locked with waiters (the third mutex of
//! Ulrich Drepper, "Futexes Are Tricky", 2011). A waiter makes the word 2 and waits with `FUTEX_WAIT`
//! for as long as it is 2.
//!
//! The bytes prove nothing: counters have these values too, and oneTBB's `binary_semaphore`
//! (`src/tbb/semaphore.h`, 2021.8) has the very same states but is a signal. So the code that waits
//! must be that of a library which is known.
//!
//! - GLib's `GMutex`: `g_mutex_lock` and `g_mutex_lock_slowpath`, `glib/gthread-posix.c`, 2.74 (so
//!   since 2.48). The library's other waits are those of `g_cond_wait` and of bit locks, which have
//!   names in its table of symbols; the slow path is static and has none. `GRecMutex` and `GRWLock`
//!   are a `pthread_mutex_t` and a `pthread_rwlock_t` behind a pointer.
//! - Go's `runtime.mutex`: `lock2`, `src/runtime/lock_futex.go`, Go 1.19 (1.24 has another, which
//!   parks on a word of the thread).
//! - glibc's own locks that are no static data, such as those of a `FILE` or an arena of `malloc`:
//!   `__lll_lock_wait_private`, `nptl/lowlevellock.c`, 2.36.

use forktrace_common::futex::FUTEX_WAIT;

use super::{
    Base, Decoder, Language, LockFamily, Meaning, Part, Reading, Scene, State, Word, WordFact,
    code, glibc_internal::INTERNAL, neighbours::was_there, unproven, word_fact::Thing,
};

const FREE: u32 = 0;
const LOCKED: u32 = 1;
const AWAITED: u32 = 2;

/// GLib's file.
const GLIB: &str = "libglib-2.0.so";
/// Functions of GLib that wait for something else.
const NOT_MUTEX: [&str; 4] =
    ["g_cond_wait", "g_cond_wait_until", "g_bit_lock", "g_pointer_bit_lock"];

pub(super) static GLIB_MUTEX: LockFamily =
    LockFamily::new("glib-mutex", "GLib GMutex", Language::C);
pub(super) static GO_MUTEX: LockFamily =
    LockFamily::new("go-runtime-mutex", "Go runtime lock", Language::Go);

/// Recognises them by the code that waits.
pub(super) struct ThreeState;

impl Decoder for ThreeState {
    fn read(&self, scene: &Scene<'_>) -> Option<Reading> {
        if !is_awaited(scene) {
            return None;
        }
        let family = family(scene)?;
        let address = scene.wait.uaddr;
        let then = scene.at_fork.and_then(|window| window.word(address));
        let at_fork = match then {
            None => State::Unknown,
            Some(LOCKED | AWAITED) if existed(scene) => State::Held { owner: None },
            Some(LOCKED | AWAITED) => State::Unknown,
            Some(_) => State::Free,
        };
        Some(Reading {
            family,
            address,
            at_fork,
            now: State::Held { owner: None },
            value_at_fork: then,
            value: AWAITED,
            word: WordFact::now(Part::Word, Base::Decimal, word(AWAITED))
                .inherited(then.map(word))
                .identity(unproven(at_fork, then.is_some())),
        })
    }
}

/// Whether the wait is one for such a mutex, whoever's it is.
pub(super) fn is_awaited(scene: &Scene<'_>) -> bool {
    let wait = scene.wait;
    wait.command() == FUTEX_WAIT
        && wait.is_private()
        && wait.val == u64::from(AWAITED)
        && wait.uaddr.is_multiple_of(4)
        && scene.now.word(wait.uaddr) == Some(AWAITED)
}

fn family(scene: &Scene<'_>) -> Option<&'static LockFamily> {
    let code = &scene.code;
    if is_glib(scene) {
        return Some(&GLIB_MUTEX);
    }
    if code.is_in(&["runtime.lock2"]) {
        return Some(&GO_MUTEX);
    }
    let innermost = code.near().next()?.symbol.as_deref();
    (innermost == Some("__lll_lock_wait_private") && !scene.on_musl()).then_some(&INTERNAL)
}

fn is_glib(scene: &Scene<'_>) -> bool {
    let code = &scene.code;
    if code.wrote(scene.wait.uaddr, GLIB, "g_mutex_lock") {
        return true;
    }
    let other = |frame: &crate::event::stacks::Frame| {
        frame.symbol.as_deref().is_some_and(|symbol| NOT_MUTEX.contains(&symbol))
    };
    let innermost = code.near().next();
    let inside = innermost.is_some_and(|frame| code::is_file(frame, GLIB));
    match inside {
        true => !code.inside(GLIB).any(other),
        // Linked into the program.
        false => code.is_in(&["g_mutex_lock_slowpath"]),
    }
}

/// Whether the word was this lock's at the fork.
fn existed(scene: &Scene<'_>) -> bool {
    // Static data is never anything else.
    scene.module.is_some()
        || scene
            .at_fork
            .is_some_and(|then| was_there(scene.wait.uaddr, scene.mapping, scene.now, then))
}

fn word(value: u32) -> Word {
    let meaning = match value {
        FREE => Meaning::Free,
        LOCKED => Meaning::Locked,
        AWAITED => Meaning::LockedWithWaiters,
        _ => Meaning::NotOf(Thing::Mutex),
    };
    Word::new(value, meaning)
}

//! What the bytes around a futex word say about the lock it belongs to.
//!
//! Pure: bytes in, a [`Reading`] out. One decoder a file; [`DECODERS`] lists them in the order in
//! which they are asked, most specific first. A decoder that is not sure says nothing: a wait that
//! nobody recognises is shown as unknown, never guessed.

mod code;
mod cxa_guard;
mod event;
mod family;
mod glib_bit_lock;
mod glibc_cond;
mod glibc_internal;
mod glibc_layout;
mod glibc_mutex;
mod glibc_robust;
mod glibc_rwlock;
mod glibc_sem;
mod glibc_thread;
mod musl_file;
mod musl_mutex;
mod musl_once;
mod musl_rwlock;
mod neighbours;
mod parking_lot;
mod py_mutex;
mod rust_std;
mod three_state;
mod waiting_code;
mod word_fact;

pub use code::Code;
pub use family::{FAMILIES, FamilyRemedy, Language, LockFamily};
pub use glibc_sem::SEMAPHORE;
pub use word_fact::{Base, Identity, Meaning, Part, Thing, Word, WordFact};

use crate::{
    arch::Machine,
    event::{Libc, Mapping, Place, Wait, Window},
};

/// What a decoder gets to see.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The machine on which the memory was read.
    pub machine: Machine,
    /// The wait.
    pub wait: &'a Wait,
    /// The mapping that holds the word.
    pub mapping: Option<&'a Mapping>,
    /// Memory around the word while waiting.
    pub now: &'a Window,
    /// Memory around the word as inherited, where known.
    pub at_fork: Option<&'a Window>,
    /// Path of the file whose static data the word is in.
    pub module: Option<&'a str>,
    /// The C library that the program is linked with, where known.
    pub libc: Option<Libc>,
    /// The lock itself, if [`target`] says that it is elsewhere.
    pub target: Option<&'a Place>,
    /// The code that waits, as far as it is known.
    pub code: Code<'a>,
}

impl Scene<'_> {
    /// Whether the program is known to run on glibc.
    fn on_glibc(&self) -> bool {
        self.libc == Some(Libc::Glibc)
    }

    /// Whether the program is known to run on musl.
    fn on_musl(&self) -> bool {
        self.libc == Some(Libc::Musl)
    }
}

/// A lock recognised around a futex word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What sort of lock it is.
    pub family: &'static LockFamily,
    /// Address of the lock object (the futex word may be inside it).
    pub address: u64,
    /// The lock in the memory as inherited.
    pub at_fork: State,
    /// The lock while waiting.
    pub now: State,
    /// The word that says "held", as inherited, where known.
    pub value_at_fork: Option<u32>,
    /// The same word while waiting.
    pub value: u32,
    /// What the word means, at the fork and now.
    pub word: WordFact,
}

impl Reading {
    /// Whether nothing is known of what the word belongs to.
    pub fn is_nameless(&self) -> bool {
        *self.family == event::WORD
    }
}

/// Whether a lock was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody had it.
    Free,
    /// Somebody had it; by tid where the lock says so.
    Held {
        /// Thread id of the holder in the pid namespace of whoever locked it.
        owner: Option<u32>,
    },
    /// A word like this would be held, but the bytes do not prove that the lock existed yet.
    HeldUnproven,
    /// Not known: the bytes are missing.
    Unknown,
}

/// Recognises one family of locks.
pub trait Decoder: Sync {
    /// The lock around the word, or `None` if this is not (for certain) one of this family.
    fn read(&self, scene: &Scene<'_>) -> Option<Reading>;

    /// Where the lock is, if the bytes around the futex word are those of a waiter of this family
    /// that is parked for a lock elsewhere.
    fn target(&self, _wait: &Wait, _now: &Window, _machine: Machine) -> Option<u64> {
        None
    }
}

/// All decoders, in the order in which they are asked.
pub static DECODERS: &[&dyn Decoder] = &[
    &py_mutex::PyMutex,
    &parking_lot::ParkingLot,
    &glibc_mutex::GlibcMutex,
    &glibc_robust::GlibcRobust,
    &glibc_cond::GlibcCond,
    &glibc_thread::GlibcThread,
    &glibc_rwlock::GlibcRwlock,
    &glibc_sem::GlibcSem,
    &glibc_internal::GlibcInternal,
    &cxa_guard::CxaGuard,
    &musl_mutex::MuslMutex,
    &musl_rwlock::MuslRwlock,
    &musl_file::MuslFile,
    &musl_once::MuslOnce,
    &three_state::ThreeState,
    &glib_bit_lock::GlibBitLock,
    &rust_std::mutex::RustMutex,
    &rust_std::once::RustOnce,
    &rust_std::rwlock::RustRwLock,
];

/// That the bytes of a lock which was held at the fork, if they are known, may have been something
/// else then: all that is said where its state is `Unknown`.
fn unproven(at_fork: State, known: bool) -> Option<Identity> {
    (known && at_fork == State::Unknown).then_some(Identity::Unproven(Thing::ThisLock))
}

/// The first decoder's answer, if any recognises the lock.
pub fn read(scene: &Scene<'_>) -> Option<Reading> {
    DECODERS.iter().find_map(|decoder| decoder.read(scene))
}

/// The word as something that is waited for without being held by anybody, such as a condition
/// variable. Only for words that [`read`] does not know.
pub fn read_event(scene: &Scene<'_>) -> Option<Reading> {
    event::read(scene)
}

/// Whether the word would be read as a lock, were the code that waits for it a known library's: then
/// the waiter's stack is worth reading.
pub fn depends_on_code(scene: &Scene<'_>) -> bool {
    scene.code.frames.is_none() && three_state::is_awaited(scene) && read(scene).is_none()
}

/// The word as one of an unknown kind, of which nothing can be said but what it is and was. Only for waits
/// that neither [`read`] nor [`read_event`] knows. `None`: the wait is for several words.
pub fn read_word(scene: &Scene<'_>) -> Option<Reading> {
    event::read_word(scene)
}

/// Where the lock is, if that is elsewhere than the futex word: the word is then only what the
/// waiter is parked on. The lock's memory goes into [`Scene::target`].
pub fn target(wait: &Wait, now: &Window, machine: Machine) -> Option<u64> {
    DECODERS.iter().find_map(|decoder| decoder.target(wait, now, machine))
}

/// Largest tid plus one: `PID_MAX_LIMIT`, `include/linux/threads.h`, Linux 6.18 (64-bit).
const TID_LIMIT: u32 = 1 << 22;

/// Whether a word can be a thread id.
fn is_tid(word: u32) -> bool {
    (1..TID_LIMIT).contains(&word)
}

#[cfg(test)]
mod tests;

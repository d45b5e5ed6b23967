//! What the bytes around a futex word say about the lock it belongs to.
//!
//! Pure: bytes in, a [`Reading`] out. One decoder a file; [`DECODERS`] lists them in the order in
//! which they are asked, most specific first. A decoder that is not sure says nothing: a wait that
//! nobody recognises is shown as unknown, never guessed.

mod cxa_guard;
mod event;
mod glibc_internal;
mod glibc_layout;
mod glibc_mutex;
mod glibc_robust;
mod glibc_rwlock;
mod glibc_sem;
mod musl_file;
mod musl_mutex;
mod musl_once;
mod musl_rwlock;
mod neighbours;
mod parking_lot;
mod py_mutex;
mod rust_std;

use forktrace_common::futex;

use crate::event::{Libc, Mapping, Place, Wait, Window};

/// What a decoder gets to see.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
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
    /// The lock's kind, for `lock.kind` in the log: `glibc mutex`, …
    pub kind: &'static str,
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
    /// True for locks that anybody may release (a semaphore): a signal handler or timer could.
    pub anyone_may_release: bool,
    /// What the word means, for the proof line: `word was 1 (locked), owner 4207`.
    pub detail: String,
}

impl Reading {
    /// Whether the bytes could as well be those of an event, such as a condition variable, whose word
    /// changes with each wake ([`rust_std`]).
    pub fn may_be_event(&self) -> bool {
        self.kind.starts_with(rust_std::KINDS)
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
    fn target(&self, _wait: &Wait, _now: &Window) -> Option<u64> {
        None
    }
}

/// All decoders, in the order in which they are asked.
pub static DECODERS: &[&dyn Decoder] = &[
    &py_mutex::PyMutex,
    &parking_lot::ParkingLot,
    &glibc_mutex::GlibcMutex,
    &glibc_robust::GlibcRobust,
    &glibc_rwlock::GlibcRwlock,
    &glibc_sem::GlibcSem,
    &glibc_internal::GlibcInternal,
    &cxa_guard::CxaGuard,
    &musl_mutex::MuslMutex,
    &musl_rwlock::MuslRwlock,
    &musl_file::MuslFile,
    &musl_once::MuslOnce,
    &rust_std::mutex::RustMutex,
    &rust_std::once::RustOnce,
    &rust_std::rwlock::RustRwLock,
];

/// The proof line: what the lock's `word` was as inherited, if that is known, and else what it is
/// now, as `meaning` tells it.
fn detail<T>(word: &str, now: &T, then: Option<&T>, meaning: impl Fn(&T) -> String) -> String {
    match then {
        Some(then) => format!("{word} was {} in the page as inherited", meaning(then)),
        None => format!("{word} is {} now", meaning(now)),
    }
}

/// The same of a lock whose bytes may have been something else at the fork.
fn doubtful<T>(
    word: &str,
    now: &T,
    then: Option<&T>,
    at_fork: State,
    meaning: impl Fn(&T) -> String,
) -> String {
    let told = detail(word, now, then, meaning);
    match at_fork {
        State::Unknown if then.is_some() => {
            told + ", but nothing proves that it was this lock's then"
        }
        _ => told,
    }
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

/// Where the lock is, if that is elsewhere than the futex word: the word is then only what the
/// waiter is parked on. The lock's memory goes into [`Scene::target`].
pub fn target(wait: &Wait, now: &Window) -> Option<u64> {
    DECODERS.iter().find_map(|decoder| decoder.target(wait, now))
}

/// Address after the last that a process may have: `TASK_SIZE_MAX`,
/// `arch/x86/include/asm/page_64.h`, Linux 6.18 (four levels of page tables).
const ADDRESS_LIMIT: u64 = 1 << 47;

/// Largest tid plus one: `PID_MAX_LIMIT`, `include/linux/threads.h`, Linux 6.18 (64-bit).
const TID_LIMIT: u32 = 1 << 22;

/// Whether a word can be a thread id.
fn is_tid(word: u32) -> bool {
    (1..TID_LIMIT).contains(&word)
}

impl Wait {
    /// The command of a `futex` system call, without flags. The marks for the other system calls
    /// ([`futex::OP_WAITV`], [`futex::OP_WAIT_SYSCALL`]) stay what they are and match no command.
    fn command(&self) -> u32 {
        self.op & futex::FUTEX_CMD_MASK
    }

    /// Whether the caller promised that no other process uses the word.
    fn is_private(&self) -> bool {
        self.op & futex::FUTEX_PRIVATE_FLAG != 0
    }
}

impl Mapping {
    /// Whether `malloc` may have handed out memory here: the program break's area, or anonymous
    /// private memory (further arenas and large blocks).
    pub fn is_heap(&self) -> bool {
        let anonymous = self.path.is_empty() || self.path == "[heap]";
        anonymous && !self.shared && self.perms.starts_with("rw")
    }
}

impl Window {
    /// The byte at `address`, if the window holds it.
    pub fn byte(&self, address: u64) -> Option<u8> {
        let at = usize::try_from(address.checked_sub(self.address)?).ok()?;
        self.bytes.get(at).copied()
    }

    /// The 32-bit word at `address`, if the window holds it. Little endian, as x86-64 is.
    pub fn word(&self, address: u64) -> Option<u32> {
        let start = usize::try_from(address.checked_sub(self.address)?).ok()?;
        let bytes = self.bytes.get(start..start.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The 64-bit word at `address`, if the window holds it.
    pub fn long(&self, address: u64) -> Option<u64> {
        let low = self.word(address)?;
        let high = self.word(address.checked_add(4)?)?;
        Some(u64::from(low) | u64::from(high) << 32)
    }
}

#[cfg(test)]
mod tests;

//! What is known of a sort of lock as such, whatever state one of them is in.
//!
//! Rules and advice read these fields. Nothing looks at the text of a name.

use std::fmt;

use super::{
    cxa_guard, event, glib_bit_lock, glibc_cond, glibc_internal, glibc_mutex, glibc_robust,
    glibc_rwlock, glibc_sem, glibc_thread, musl_file, musl_mutex, musl_once, musl_rwlock,
    parking_lot, py_mutex, rust_std, three_state, waiting_code,
};

/// A sort of lock. Each is a `static` beside its decoder, and two are equal if their ids are.
#[derive(Clone, Copy)]
pub struct LockFamily {
    /// The family's identity: lower case with hyphens, never changed.
    pub id: &'static str,
    /// The name that people read, `lock.kind` in the log.
    pub name: &'static str,
    /// The language that the lock is of; `None`: not known.
    pub language: Option<Language>,
    /// Any thread may release it, as with a semaphore: so may a signal handler or a timer.
    pub anyone_may_release: bool,
    /// The bytes could as well be those of an event, such as a condition variable.
    pub may_be_event: bool,
    /// The advice that fits.
    pub remedy: FamilyRemedy,
}

/// The language of the code that a lock is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
    /// Go.
    Go,
    /// Python.
    Python,
    /// Rust.
    Rust,
}

/// What can be done about an inherited lock of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FamilyRemedy {
    /// A handler can take it before the fork.
    General,
    /// Something is initialised once, by whoever comes first: it can be initialised before the fork.
    Once,
    /// It is the C library's own, and no handler can take it.
    LibraryOwn,
    /// Threads alone end it, which the child does not have.
    Threads,
    /// Python code can take it.
    PythonThreading,
}

impl LockFamily {
    /// A family that only the holder releases, that is no event, and that gets the general advice.
    pub(super) const fn new(id: &'static str, name: &'static str, language: Language) -> Self {
        LockFamily {
            id,
            name,
            language: Some(language),
            anyone_may_release: false,
            may_be_event: false,
            remedy: FamilyRemedy::General,
        }
    }

    /// The family with this name in a log; `None`: the name is unknown.
    pub fn by_name(name: &str) -> Option<&'static LockFamily> {
        FAMILIES.iter().copied().find(|family| family.name == name)
    }

    /// What the lock is to a program in Python, if it is one: up to Python 3.12 every lock of the
    /// `threading` module is a `sem_t` (`Python/thread_pthread.h`, CPython 3.11).
    pub fn in_language(&'static self, is_python: bool) -> &'static LockFamily {
        match is_python && *self == glibc_sem::SEMAPHORE {
            true => &glibc_sem::PYTHON_SEMAPHORE,
            false => self,
        }
    }
}

impl PartialEq for LockFamily {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for LockFamily {}

impl fmt::Debug for LockFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockFamily").field(&self.id).finish()
    }
}

/// All families.
pub static FAMILIES: &[&LockFamily] = &[
    &py_mutex::LOCK,
    &py_mutex::RLOCK,
    &py_mutex::OTHER,
    &parking_lot::MUTEX,
    &parking_lot::ONCE,
    &parking_lot::FOR_WRITING,
    &parking_lot::FOR_READING,
    &glibc_mutex::NORMAL_MUTEX,
    &glibc_mutex::RECURSIVE_MUTEX,
    &glibc_mutex::ERRORCHECK_MUTEX,
    &glibc_mutex::ADAPTIVE_MUTEX,
    &glibc_robust::ROBUST_NORMAL,
    &glibc_robust::ROBUST_RECURSIVE,
    &glibc_robust::ROBUST_ERRORCHECK,
    &glibc_robust::ROBUST_ADAPTIVE,
    &glibc_robust::ROBUST_PRIO_INHERIT,
    &glibc_robust::ONLY_PRIO_INHERIT,
    &glibc_rwlock::FOR_WRITING,
    &glibc_rwlock::FOR_READING,
    &glibc_sem::SEMAPHORE,
    &glibc_sem::PYTHON_SEMAPHORE,
    &glibc_internal::INTERNAL,
    &cxa_guard::GUARD,
    &musl_mutex::NORMAL_MUTEX,
    &musl_mutex::RECURSIVE_MUTEX,
    &musl_mutex::ERRORCHECK_MUTEX,
    &musl_mutex::ROBUST_NORMAL,
    &musl_mutex::ROBUST_RECURSIVE,
    &musl_mutex::ROBUST_ERRORCHECK,
    &musl_rwlock::FOR_WRITING,
    &musl_rwlock::FOR_READING,
    &musl_file::FILE_LOCK,
    &musl_once::ONCE,
    &rust_std::mutex::MUTEX,
    &rust_std::once::ONCE,
    &rust_std::rwlock::FOR_WRITING,
    &rust_std::rwlock::FOR_READING,
    &glibc_cond::WAITERS,
    &glibc_cond::SIGNALERS,
    &glibc_thread::THREAD,
    &three_state::GLIB_MUTEX,
    &three_state::GO_MUTEX,
    &glib_bit_lock::BIT_LOCK,
    &event::CONDITION_VARIABLE,
    &event::BARRIER,
    &event::WORD,
    &waiting_code::GLIB_COND,
    &waiting_code::GO_NOTE,
    &waiting_code::OPENMP,
    &waiting_code::TBB,
    &waiting_code::ABSEIL,
    &waiting_code::FOLLY,
    &waiting_code::CXX_ATOMIC,
    &waiting_code::RUST_CONDVAR,
    &waiting_code::RUST_PARK,
    &waiting_code::GLIBC_ONCE,
    &waiting_code::GLIBC_BARRIER_END,
];

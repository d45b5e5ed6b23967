//! A lock of libc's, to measure what probes on it cost.

use std::cell::UnsafeCell;

/// A mutex for one thread.
pub(super) struct Lock(Box<UnsafeCell<libc::pthread_mutex_t>>);

impl Lock {
    pub(super) fn new() -> Self {
        Lock(Box::new(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)))
    }

    /// Takes the lock and releases it.
    pub(super) fn take_and_release(&self) {
        // SAFETY: the mutex is initialised, does not move, and is used by this thread alone
        // (`UnsafeCell` is not `Sync`), so that the lock is free and is released by its owner.
        unsafe {
            libc::pthread_mutex_lock(self.0.get());
            libc::pthread_mutex_unlock(self.0.get());
        }
    }
}

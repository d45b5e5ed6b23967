//! The words of glibc's `pthread_mutex_t` on x86-64 and arm64, whatever its kind.
//!
//! Facts, read at glibc 2.36 and the same in 2.42: layout `struct __pthread_mutex_s`
//! (`sysdeps/x86/nptl/bits/struct_mutex.h`, and `sysdeps/nptl/bits/struct_mutex.h` for arm64, with all
//! fields at the same offsets); kinds and their flags (`sysdeps/nptl/pthreadP.h`).

use crate::event::Window;

const COUNT: u64 = 4;
const OWNER: u64 = 8;
const NUSERS: u64 = 12;
const KIND: u64 = 16;
const LIST_PREV: u64 = 24;
const LIST_NEXT: u64 = 32;

/// `PTHREAD_MUTEX_KIND_MASK_NP`.
pub(super) const TYPE_MASK: u32 = 3;
/// `PTHREAD_MUTEX_PSHARED_BIT`.
pub(super) const PSHARED: u32 = 128;
/// `PTHREAD_MUTEX_NO_ELISION_NP`, set by `pthread_mutexattr_settype` for the normal type until
/// elision was removed in 2.42. The opposite flag, 256, marks mutexes that record no owner.
pub(super) const NO_ELISION: u32 = 512;

/// The words that tell one mutex from anything else.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub lock: u32,
    pub count: u32,
    pub owner: u32,
    pub nusers: u32,
    pub kind: u32,
    /// Links of the list of robust mutexes; `None` outside of the window.
    pub prev: Option<u64>,
    pub next: Option<u64>,
}

impl Fields {
    pub(super) fn at(window: &Window, address: u64) -> Option<Self> {
        let word = |offset: u64| window.word(address.checked_add(offset)?);
        let long = |offset: u64| window.long(address.checked_add(offset)?);
        Some(Fields {
            lock: word(0)?,
            count: word(COUNT)?,
            owner: word(OWNER)?,
            nusers: word(NUSERS)?,
            kind: word(KIND)?,
            prev: long(LIST_PREV),
            next: long(LIST_NEXT),
        })
    }
}

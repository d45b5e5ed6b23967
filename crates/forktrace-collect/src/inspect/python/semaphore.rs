//! What a process's own objects say of a semaphore of `multiprocessing`.
//!
//! `SemLock` keeps beside the address of the semaphore by which thread it was taken last, and how much
//! more often it was taken than given back, both in this process alone (`SemLockObject`,
//! `Modules/_multiprocessing/semaphore.c`, CPython 3.8 to 3.14). A forked child of `multiprocessing`
//! begins with a count of zero (`SemLock._after_fork`), one of `os.fork` with that of its parent.

use std::time::Instant;

use super::remote::{Remote, is_object};
use crate::inspect::memory;

/// Most bytes of one process that are searched, and how many at once.
const MOST: u64 = 128 << 20;
const CHUNK: u64 = 1 << 16;
/// Offsets in the object.
const HANDLE: u64 = 16;
const LAST_TID: u64 = 24;
const COUNT: u64 = 32;
const MAX_VALUE: u64 = 36;
const KIND: u64 = 40;
/// `tp_name` of its type.
const NAME: &str = "_multiprocessing.SemLock";

/// What an object says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// How much more often this process took it than it gave it back.
    pub count: i32,
    /// Whether some thread has ever taken it, of this process or of the one that forked it.
    pub was_taken: bool,
    /// Its largest value: 1 of a lock.
    pub max_value: i32,
    /// Only who took it may give it back: `RLock`.
    pub is_recursive: bool,
}

/// What the object of process `pid` for the semaphore at `address` says; `None`: there is none, more
/// than one, or it was not found before `end`, or in the memory that is searched.
pub fn record(pid: u32, address: u64, end: Instant) -> Option<Record> {
    let remote = Remote::open(pid)?;
    let mut left = MOST;
    let mut found = None;
    for mapping in memory::mappings(pid).ok()? {
        let anonymous = mapping.path.is_empty()
            || mapping.path == "[heap]"
            || mapping.path.starts_with("[anon");
        if !anonymous || mapping.shared || !mapping.perms.starts_with("rw") {
            continue;
        }
        let mut at = mapping.start;
        while at < mapping.end {
            left = left.checked_sub(CHUNK)?;
            (Instant::now() < end).then_some(())?;
            let len = CHUNK.min(mapping.end - at);
            let words = remote.longs(at, usize::try_from(len / 8).ok()?);
            let places = words.iter().enumerate().filter(|(_, word)| **word == address);
            for place in places.filter_map(|(place, _)| u64::try_from(place).ok()) {
                let object = (at + place * 8).checked_sub(HANDLE);
                if let Some(record) = object.and_then(|object| of_object(&remote, object)) {
                    if found.is_some() {
                        return None;
                    }
                    found = Some(record);
                }
            }
            at = at.checked_add(len)?;
        }
    }
    found
}

/// What the object at this address says, if it is one.
fn of_object(remote: &Remote, object: u64) -> Option<Record> {
    (is_object(object) && remote.type_name(object)? == NAME).then_some(())?;
    let int = |offset: u64| Some(remote.int(object.checked_add(offset)?)?.cast_signed());
    Some(Record {
        count: int(COUNT)?,
        was_taken: remote.long(object.checked_add(LAST_TID)?)? != 0,
        max_value: int(MAX_VALUE)?,
        is_recursive: int(KIND)? == 0,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn an_object_is_known_by_its_type_and_says_who_took_it() {
        // The object, its type 64 bytes on, the type's name after that.
        let start = 0x10_0000_u64;
        let mut bytes = vec![0; 256];
        let mut put = |at: usize, word: u64| bytes[at..at + 8].copy_from_slice(&word.to_le_bytes());
        put(8, start + 64);
        put(16, 0x7000);
        put(24, 5);
        put(32, 1 | 1 << 32);
        put(40, 1);
        put(64 + 24, start + 128);
        bytes[128..128 + NAME.len()].copy_from_slice(NAME.as_bytes());
        let of = |bytes: Vec<u8>| of_object(&Remote::of_bytes(start, bytes, 100), start);
        let record = Record { count: 1, was_taken: true, max_value: 1, is_recursive: false };
        assert_eq!(of(bytes.clone()), Some(record));
        bytes[32..36].copy_from_slice(&(-1_i32).to_le_bytes());
        assert_eq!(of(bytes.clone()).unwrap().count, -1);
        bytes[128] = b'x';
        assert_eq!(of(bytes), None);
    }

    #[test]
    fn what_is_no_python_process_has_none() {
        assert_eq!(record(std::process::id(), 1, Instant::now()), None);
        assert_eq!(record(u32::MAX, 1, Instant::now()), None);
    }
}

//! Who has a lock of `multiprocessing`, by the records that each process keeps of it.
//!
//! Such a lock is a semaphore whose word names nobody. That all who have it say that they did not take it
//! shows that its holder has ended, but only where who takes it gives it back. A semaphore of the value
//! 1 is also taken by one process and given back by another, as by those who put into a queue of that
//! size and those who get from it. It is a lock where Python says so (`RLock`), where a process has
//! taken it and given it back, or where a thread waits for it in a `with` statement.

#[cfg(feature = "python")]
use std::time::{Duration, Instant};

use forktrace_model::event::stall::User;

use super::host::SharedFile;
#[cfg(feature = "python")]
use crate::inspect::{memory, python, python::semaphore::Record};

/// How long the objects of all processes that have one semaphore are searched for.
#[cfg(feature = "python")]
const PATIENCE: Duration = Duration::from_secs(2);
/// Most processes in which they are.
#[cfg(feature = "python")]
const MOST: usize = 64;

/// Adds to the users of the word at `offset` of a file that they do not have the lock, if it is known of
/// all of them. `waiter`: a task that waits for it.
#[cfg(feature = "python")]
pub(super) fn add_records(
    users: &mut [User],
    (file, offset): (SharedFile, u64),
    path: &str,
    waiter: (u32, u32),
) {
    if !path.starts_with("/dev/shm/") || users.len() > MOST {
        return;
    }
    let end = Instant::now() + PATIENCE;
    let record = |user: &User| {
        python::semaphore::record(user.pid, address(user.pid, file, offset, path)?, end)
    };
    let Some(records) = users.iter().map(record).collect::<Option<Vec<Record>>>() else { return };
    if is_left(&records, || in_with(waiter)) {
        for user in users {
            user.holds = Some(false);
        }
    }
}

/// Python's objects cannot be read by this build.
#[cfg(not(feature = "python"))]
pub(super) fn add_records(
    _users: &mut [User],
    _place: (SharedFile, u64),
    _path: &str,
    _waiter: (u32, u32),
) {
}

/// Whether the records of all who have a semaphore show that it is a lock, and that none of them has it.
/// Who took it may have handed it over: then it is not known who has it.
#[cfg(feature = "python")]
fn is_left(records: &[Record], in_with: impl FnOnce() -> bool) -> bool {
    let nobody = records.iter().all(|record| record.max_value == 1 && record.count == 0);
    let given_back = || records.iter().any(|record| record.is_recursive || record.was_taken);
    !records.is_empty() && nobody && (given_back() || in_with())
}

/// Whether the innermost Python frame of a thread is that of the beginning of a `with` statement, which
/// is a function of Python's in `multiprocessing/synchronize.py` (`SemLock.__enter__`, CPython 3.8 to
/// 3.14).
#[cfg(feature = "python")]
fn in_with((pid, tid): (u32, u32)) -> bool {
    let frames = python::frames(pid, vec![tid]);
    let innermost = frames.first().and_then(|(_, frames)| frames.first());
    innermost.is_some_and(|frame| frame.function.rsplit('.').next() == Some("__enter__"))
}

/// Where a process has a word of a file mapped; `None`: nowhere, or at several places.
#[cfg(feature = "python")]
fn address(pid: u32, file: SharedFile, offset: u64, path: &str) -> Option<u64> {
    let of_file = |start| {
        let origin = memory::origin(pid, start);
        origin.is_some_and(|origin| (origin.device, origin.inode) == file)
    };
    let mappings = memory::mappings(pid).ok()?;
    let mut found = mappings.iter().filter(|mapping| {
        let len = mapping.end.saturating_sub(mapping.start);
        let holds = offset.checked_sub(mapping.offset).is_some_and(|within| within < len);
        mapping.shared && mapping.path == path && holds && of_file(mapping.start)
    });
    let (one, more) = (found.next()?, found.next());
    more.is_none().then(|| one.start + (offset - one.offset))
}

#[cfg(all(test, feature = "python"))]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_left_if_nobody_who_has_it_says_that_it_took_it() {
        let new = Record { count: 0, was_taken: false, max_value: 1, is_recursive: false };
        let used = Record { was_taken: true, ..new };
        let with = || true;
        let by_hand = || false;
        assert!(is_left(&[new, used], by_hand), "a process took it and gave it back");
        assert!(is_left(&[new, new], with));
        assert!(!is_left(&[new, new], by_hand), "it may be that of a queue of one place");
        assert!(is_left(&[new, Record { is_recursive: true, ..new }], by_hand));
        for other in [
            Record { count: 1, ..used },
            Record { count: -1, ..new },
            Record { max_value: 2, ..used },
        ] {
            assert!(!is_left(&[used, other], with), "{other:?}");
        }
        assert!(!is_left(&[], with));
    }
}

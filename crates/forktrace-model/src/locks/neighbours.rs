//! What the bytes beside a lock say about its age.
//!
//! Some locks are a word or a byte with nothing around it that could be checked. A held value in
//! the memory as inherited proves a lock that existed then, unless the memory was something else
//! at the fork and became a lock since.

use crate::event::{Mapping, Window};

/// Whether the lock at `address` was there at the fork already, as far as can be known: it is a
/// variable in a file's own data, which is never used for anything else; or the eight bytes before
/// it are the same now as then. Those are what was set up with the lock (the type of a Python
/// object, a reference count, `malloc`'s size), and memory that found a new use has others.
pub(super) fn was_there(
    address: u64,
    mapping: Option<&Mapping>,
    now: &Window,
    at_fork: &Window,
) -> bool {
    if mapping.is_some_and(|mapping| is_program_data(&mapping.path)) {
        return true;
    }
    let Some(before) = (address & !7).checked_sub(8) else { return false };
    now.long(before).is_some_and(|bytes| at_fork.long(before) == Some(bytes))
}

/// Whether a path is that of a program's or library's file. Files of no folder, and devices, are
/// mapped to be used as memory.
fn is_program_data(path: &str) -> bool {
    path.starts_with('/') && !["/memfd:", "/dev/", "/SYSV"].iter().any(|not| path.starts_with(not))
}

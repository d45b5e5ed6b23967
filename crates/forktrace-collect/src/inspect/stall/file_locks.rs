//! `/proc/locks`: who waits for a lock on a file, and who has it.

use super::files::is_file;
use crate::inspect::proc_text;

/// A line of `/proc/locks` (`lock_get_status`, `fs/locks.c`, Linux 6.18).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileLock {
    /// Somebody waits for it; otherwise it is held.
    pub(super) waits: bool,
    /// The process; `None`: it belongs to an open file, not to a process (`OFDLCK`), or is of another
    /// pid namespace.
    pub(super) pid: Option<u32>,
    /// Device and inode, `08:01:131090`.
    pub(super) file: String,
}

/// Most bytes that are read.
const MOST: u64 = 4 << 20;

/// All of the host.
pub(super) fn all() -> Vec<FileLock> {
    let bytes = proc_text::bytes(0, "locks", MOST).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().filter_map(parse).collect()
}

/// `1: FLOCK  ADVISORY  WRITE 12345 08:01:131090 0 EOF`, of a waiter `1:  -> FLOCK …`.
pub(super) fn parse(line: &str) -> Option<FileLock> {
    let mut words = line.split_whitespace();
    words.next()?.strip_suffix(':')?.parse::<u64>().ok()?;
    let mut kind = words.next()?;
    let waits = kind == "->";
    if waits {
        kind = words.next()?;
    }
    matches!(kind, "FLOCK" | "POSIX" | "OFDLCK").then_some(())?;
    let pid = words.nth(2)?.parse::<i64>().ok()?;
    let file = words.next().filter(|file| is_file(file))?.to_owned();
    Some(FileLock { waits, pid: u32::try_from(pid).ok().filter(|pid| *pid > 0), file })
}

//! Which files a call of `poll` or `select`, or an epoll instance, waits for.

use forktrace_model::event::stall::Way;

use super::call::Target;
use crate::inspect::memory;

/// Most descriptors of one call that are looked at.
pub(super) const MOST: usize = 1024;

/// Bytes of a `struct pollfd`: a descriptor, what is waited for, what has come.
const POLLFD: usize = 8;
/// Bytes of a `struct futex_waitv`: a value, an address, flags, nothing.
const WAITV: usize = 24;
/// Most futex words of one call (`FUTEX_WAITV_MAX`, `include/uapi/linux/futex.h`, Linux 6.18).
const MOST_WORDS: usize = 128;

/// `POLLOUT`, `POLLWRNORM` and `POLLWRBAND` (`include/uapi/asm-generic/poll.h`, Linux 6.18); an
/// `epoll_event` has the same bits.
const WRITABLE: u32 = 0x4 | 0x100 | 0x200;
/// `POLLIN`, `POLLPRI`, `POLLRDNORM`, `POLLRDBAND`, `POLLRDHUP`.
const READABLE: u32 = 0x1 | 0x2 | 0x40 | 0x80 | 0x2000;

/// The ways in which events are waited for. That the other side is gone is waited for always.
pub(super) fn ways(events: u32) -> impl Iterator<Item = Way> {
    let writes = events & WRITABLE != 0;
    let reads = events & READABLE != 0 || !writes;
    reads.then_some(Way::Read).into_iter().chain(writes.then_some(Way::Write))
}

/// The descriptors that `poll` waits for; `None`: too many, or the array cannot be read.
pub(super) fn polled(pid: u32, array: u64, count: u64) -> Option<Vec<Target>> {
    let count = usize::try_from(count).ok().filter(|count| *count <= MOST)?;
    let bytes = exactly(pid, array, count * POLLFD)?;
    Some(in_array(&bytes))
}

/// The same of an array's bytes.
pub(super) fn in_array(bytes: &[u8]) -> Vec<Target> {
    let (entries, _) = bytes.as_chunks::<POLLFD>();
    let files = entries.iter().filter_map(|[a, b, c, d, low, high, ..]| {
        let fd = i32::from_le_bytes([*a, *b, *c, *d]);
        let events = u32::from(u16::from_le_bytes([*low, *high]));
        (fd >= 0).then_some((fd, events))
    });
    files.flat_map(|(fd, events)| ways(events).map(move |way| Target::File(fd, way))).collect()
}

/// The descriptors that `select` waits for. Its sets are changed only when it returns.
pub(super) fn selected(pid: u32, count: u64, sets: [u64; 3]) -> Option<Vec<Target>> {
    let count = usize::try_from(count).ok().filter(|count| *count <= MOST)?;
    let mut found = Vec::new();
    for (set, way) in sets.into_iter().zip([Way::Read, Way::Write, Way::Read]) {
        if set != 0 {
            let bytes = exactly(pid, set, count.div_ceil(64) * 8)?;
            found.extend(in_set(&bytes, count).map(|fd| Target::File(fd, way)));
        }
    }
    Some(found)
}

/// The descriptors below `count` in a set.
pub(super) fn in_set(bytes: &[u8], count: usize) -> impl Iterator<Item = i32> {
    let has = |fd: &usize| bytes.get(fd / 8).is_some_and(|byte| byte >> (fd % 8) & 1 != 0);
    (0..count).filter(has).filter_map(|fd| i32::try_from(fd).ok())
}

/// The words of a `futex_waitv`, with their operation.
pub(super) fn words(pid: u32, array: u64, count: u64, op: u32) -> Option<Vec<Target>> {
    let count = usize::try_from(count).ok().filter(|count| *count <= MOST_WORDS)?;
    let bytes = exactly(pid, array, count * WAITV)?;
    let (entries, _) = bytes.as_chunks::<WAITV>();
    let word = |entry: &[u8; WAITV]| {
        let uaddr = entry.get(8..16)?.try_into().ok()?;
        Some(Target::Word { uaddr: u64::from_le_bytes(uaddr), op })
    };
    Some(entries.iter().filter_map(word).collect())
}

fn exactly(pid: u32, address: u64, len: usize) -> Option<Vec<u8>> {
    if len == 0 {
        return Some(Vec::new());
    }
    memory::read(pid, address, len).ok().filter(|bytes| bytes.len() == len)
}

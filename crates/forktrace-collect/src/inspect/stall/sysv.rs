//! Which System V semaphore a thread waits for, and who may raise it.
//!
//! Any process of the IPC namespace that has the right may do that, so that nothing here is a proof. But the
//! kernel records which process changed a semaphore last (`sempid` of `struct sem`, `ipc/sem.c`, Linux
//! 6.18). Where a thread waits to take what another process took last, that one is the first to ask.

use std::fs;

use forktrace_model::event::stall::SysvSemaphore;

use super::host::Host;
use crate::inspect::memory;

/// Bytes of a `struct sembuf`: a number, a change, flags (`include/uapi/linux/sem.h`, Linux 6.18).
const SEMBUF: usize = 6;
/// Most operations of one call that are looked at. The kernel takes 500 (`SEMOPM`).
const MOST: u64 = 64;
/// The first process: who is its child has lost its parent.
const INIT: u32 = 1;

/// What the kernel records of a semaphore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its value.
    pub value: u32,
    /// The process that changed it last; 0: none that can be named here.
    pub last: u32,
    /// That was an operation of `semop`, and not that the value was set, as far as is known.
    pub operated: bool,
}

/// Reads what the kernel records of a semaphore: by its set, in the IPC namespace of this process, and its
/// number in the set. `None`: it is gone, or may not be read.
pub type ReadSemaphore = fn(i32, u16) -> Option<Recorded>;

/// One operation of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Operation {
    number: u16,
    change: i16,
}

/// The semaphore that process `pid` waits for in a call, by its number, and what is recorded of it. `None`:
/// anything could end the wait: another namespace, no single semaphore that is too small, or nobody else
/// who changed it last.
pub(super) fn waited(
    pid: u32,
    (set, operations, count): (i32, u64, u64),
    host: &Host,
    read: ReadSemaphore,
) -> Option<(u16, SysvSemaphore)> {
    (count <= MOST && in_own_namespace(pid)).then_some(())?;
    let len = usize::try_from(count).ok()?.checked_mul(SEMBUF)?;
    let bytes = memory::read(pid, operations, len).ok().filter(|bytes| bytes.len() == len)?;
    let (number, wants, recorded) = too_small(&in_array(&bytes), |number| read(set, number))?;
    let Recorded { value, last, operated } = recorded;
    let gone = host.processes().get(&last).is_none_or(|process| process.ended);
    let known = operated && last != 0 && last != pid;
    known.then_some((number, SysvSemaphore { value, wants, last, gone }))
}

/// Who may be expected to raise it: nobody if the process is gone that changed it last, otherwise that one
/// and the relatives of the waiter `pid`.
pub(super) fn raisers(pid: u32, semaphore: SysvSemaphore, host: &Host) -> Vec<u32> {
    if semaphore.gone {
        return Vec::new();
    }
    let parent = host.processes().get(&pid).map(|process| process.ppid).filter(|ppid| *ppid > INIT);
    let siblings = parent.into_iter().flat_map(|parent| host.children(parent));
    let near = siblings.chain(host.children(pid)).map(|(pid, _)| pid);
    let mut all: Vec<u32> = near.chain(parent).chain([pid, semaphore.last]).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn in_own_namespace(pid: u32) -> bool {
    let own = fs::read_link("/proc/self/ns/ipc").ok();
    own.is_some() && own == fs::read_link(format!("/proc/{pid}/ns/ipc")).ok()
}

fn in_array(bytes: &[u8]) -> Vec<Operation> {
    let (entries, _) = bytes.as_chunks::<SEMBUF>();
    let operation = |[a, b, c, d, ..]: &[u8; SEMBUF]| Operation {
        number: u16::from_le_bytes([*a, *b]),
        change: i16::from_le_bytes([*c, *d]),
    };
    entries.iter().map(operation).collect()
}

/// The one semaphore from which operations take more than it has, and how much. A call that changes one
/// semaphore twice, or waits for one to be zero, is left alone.
fn too_small(
    operations: &[Operation],
    read: impl Fn(u16) -> Option<Recorded>,
) -> Option<(u16, u32, Recorded)> {
    let mut found = None;
    for (at, operation) in operations.iter().enumerate() {
        let again = operations.iter().take(at).any(|other| other.number == operation.number);
        if again || operation.change == 0 {
            return None;
        }
        let wants = u32::from(operation.change.unsigned_abs());
        if operation.change > 0 {
            continue;
        }
        let recorded = read(operation.number)?;
        if recorded.value < wants && found.replace((operation.number, wants, recorded)).is_some() {
            return None;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[(u16, i16)], values: &[u32]) -> Option<(u16, u32)> {
        let bytes: Vec<u8> = bytes
            .iter()
            .flat_map(|(number, change)| {
                [number.to_le_bytes(), change.to_le_bytes(), [0, 16]].concat()
            })
            .collect();
        let read = |number: u16| {
            let value = *values.get(usize::from(number))?;
            Some(Recorded { value, last: 7, operated: true })
        };
        too_small(&in_array(&bytes), read).map(|(number, wants, _)| (number, wants))
    }

    #[test]
    fn a_thread_waits_for_the_one_semaphore_that_is_too_small() {
        assert_eq!(of(&[(1, -1)], &[5, 0]), Some((1, 1)));
        assert_eq!(of(&[(0, -2), (1, -3), (2, 1)], &[2, 2, 0]), Some((1, 3)));
        for (operations, values) in [
            (&[(0, -1), (1, -1)][..], &[0, 0][..]),
            (&[(0, -1), (0, 1)], &[0]),
            (&[(0, 0)], &[1]),
            (&[(0, -1)], &[1]),
            (&[(3, -1)], &[0]),
            (&[], &[]),
        ] {
            assert_eq!(of(operations, values), None, "{operations:?}");
        }
    }

    #[test]
    fn nobody_is_asked_for_one_who_is_gone() {
        let host = Host::default();
        let semaphore = SysvSemaphore { last: 7, gone: true, ..SysvSemaphore::default() };
        assert!(raisers(std::process::id(), semaphore, &host).is_empty());
        let lives =
            SysvSemaphore { last: std::os::unix::process::parent_id(), gone: false, ..semaphore };
        let raisers = raisers(std::process::id(), lives, &host);
        assert!(raisers.contains(&std::process::id()) && raisers.contains(&lives.last));
    }
}

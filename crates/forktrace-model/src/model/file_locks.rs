//! Locks on files on which several processes have acted, as their events tell.

use rustc_hash::FxHashMap;

use super::{Model, ProcId};
use crate::event::{FileLock, LockAct, LockLook, LockSort, Task};

/// Most locks that are kept; of others nothing is concluded.
const MOST: usize = 1_024;
/// Most acts that are kept of one.
const MOST_ACTS: usize = 64;

/// A lock on which more than one process has acted, or one that was lost by a close.
#[derive(Clone, Debug, Default)]
pub struct KnownLock {
    /// The lock's sort.
    pub sort: LockSort,
    /// The file's inode.
    pub inode: u64,
    /// Its device.
    pub device: String,
    /// The first that is known to have taken it.
    pub taker: Option<LockHolder>,
    /// What was done with it since, in the order of time.
    pub acts: Vec<KnownAct>,
    /// The latest look at it, and when that was, `CLOCK_BOOTTIME`, ns.
    pub look: Option<(u64, Box<LockLook>)>,
    at_ns: u64,
}

/// Who has taken a lock.
#[derive(Clone, Debug)]
pub struct LockHolder {
    /// The process.
    pub id: ProcId,
    /// Its descriptor, where that is known.
    pub fd: Option<i32>,
    /// When, `CLOCK_BOOTTIME`, ns.
    pub at_ns: u64,
    /// It excludes everybody else.
    pub exclusive: bool,
    /// It had not given it back at the first act.
    pub held: bool,
}

/// Something that was done with a lock.
#[derive(Clone, Debug)]
pub struct KnownAct {
    /// `CLOCK_BOOTTIME`, ns.
    pub at_ns: u64,
    /// By whom.
    pub id: ProcId,
    /// What.
    pub act: LockAct,
    /// It was about an exclusive lock.
    pub exclusive: bool,
    /// The descriptor, where that is known.
    pub fd: Option<i32>,
}

impl Model {
    /// What is known of the lock that an event is about.
    pub fn known_lock(&self, seen: &FileLock) -> Option<&KnownLock> {
        self.file_locks.get(&(seen.inode, seen.owner))
    }

    /// The locks on one file.
    pub fn locks_on(&self, inode: u64) -> impl Iterator<Item = &KnownLock> {
        self.file_locks.values().filter(move |lock| lock.inode == inode)
    }

    pub(super) fn file_lock(&mut self, at: u64, task: &Task, seen: &FileLock) {
        let id_of = |pid: u32| self.latest(pid).map(|process| process.id);
        let by = id_of(task.pid);
        let taker = id_of(seen.taken.pid).map(|id| LockHolder {
            id,
            fd: seen.taken.fd,
            at_ns: seen.taken.at_ns,
            exclusive: seen.taken.exclusive,
            held: seen.taken.held,
        });
        let key = (seen.inode, seen.owner);
        if self.file_locks.len() >= MOST && !self.file_locks.contains_key(&key) {
            forget_oldest(&mut self.file_locks);
        }
        let lock = self.file_locks.entry(key).or_default();
        lock.at_ns = at;
        lock.sort = seen.sort;
        lock.inode = seen.inode;
        lock.device.clone_from(&seen.device);
        if let Some(look) = &seen.look {
            lock.look = Some((at, look.clone()));
            return;
        }
        if lock.taker.is_none() {
            lock.taker = taker;
        }
        if let Some(id) = by.filter(|_| lock.acts.len() < MOST_ACTS) {
            let FileLock { act, exclusive, fd, .. } = *seen;
            lock.acts.push(KnownAct { at_ns: at, id, act, exclusive, fd });
        }
    }
}

fn forget_oldest(locks: &mut FxHashMap<(u64, u64), KnownLock>) {
    let oldest = locks.iter().min_by_key(|(_, lock)| lock.at_ns).map(|(key, _)| *key);
    if let Some(oldest) = oldest {
        locks.remove(&oldest);
    }
}

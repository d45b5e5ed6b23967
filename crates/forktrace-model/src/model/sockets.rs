//! Connections and files that several processes use, as their events tell.

use rustc_hash::FxHashMap;

use super::{Model, ProcId};
use crate::event::{FileUse, SocketUse, SocketUser, Task};

/// Most connections that are kept; of others nothing is concluded.
const MOST: usize = 4_096;
/// Most processes that are kept of one.
const MOST_USERS: usize = 256;

/// Most files and epoll instances that are kept.
const MOST_FILES: usize = 256;

/// A connection that more than one process has used.
#[derive(Clone, Debug, Default)]
pub struct SharedSocket {
    /// The latest event about it; its `users` are those of that event alone.
    pub latest: SocketUse,
    /// All who have used it, in the order of their coming.
    pub users: Vec<KnownUser>,
    /// When the latest event came, `CLOCK_BOOTTIME`, ns: it makes room for others when it is the oldest.
    at_ns: u64,
}

/// A process that has used it.
#[derive(Clone, Debug)]
pub struct KnownUser {
    /// The process.
    pub id: ProcId,
    /// Its name when it used it.
    pub comm: String,
    /// What it did.
    pub usage: SocketUser,
}

impl Model {
    /// A connection that several processes have used, by its inode.
    pub fn shared_socket(&self, inode: u64) -> Option<&SharedSocket> {
        self.sockets.get(&inode)
    }

    /// What is known of files and epoll instances that several processes have as one, by
    /// [`FileUse::id`]; at most the first few.
    pub fn file_uses(&self) -> impl Iterator<Item = &FileUse> {
        self.files.values()
    }

    pub(super) fn file_use(&mut self, seen: &FileUse) {
        if self.files.len() < MOST_FILES || self.files.contains_key(&seen.id) {
            self.files.insert(seen.id, seen.clone());
        }
    }

    pub(super) fn socket_use(&mut self, at: u64, task: &Task, seen: &SocketUse) {
        let mut found = Vec::new();
        // Who came first stands last in the event.
        for user in seen.users.iter().rev() {
            let Some(process) = self.latest(user.pid) else { continue };
            let comm = if user.pid == task.pid { &task.comm } else { &process.comm };
            found.push(KnownUser { id: process.id, comm: comm.clone(), usage: user.clone() });
        }
        if self.sockets.len() >= MOST && !self.sockets.contains_key(&seen.inode) {
            forget_oldest(&mut self.sockets);
        }
        let socket = self.sockets.entry(seen.inode).or_default();
        socket.at_ns = at;
        for user in found {
            if let Some(known) = socket.users.iter_mut().find(|known| known.id == user.id) {
                *known = user;
            } else if socket.users.len() < MOST_USERS {
                socket.users.push(user);
            }
        }
        socket.latest = seen.clone();
    }
}

fn forget_oldest(sockets: &mut FxHashMap<u64, SharedSocket>) {
    let oldest = sockets.iter().min_by_key(|(_, socket)| socket.at_ns).map(|(inode, _)| *inode);
    if let Some(oldest) = oldest {
        sockets.remove(&oldest);
    }
}

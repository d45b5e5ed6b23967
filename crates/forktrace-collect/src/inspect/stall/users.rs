//! Who has what end of a thing.

use forktrace_model::event::stall::User;

use super::host::Open;
use crate::inspect::kcmp;

/// Whether two descriptors are of one open file; `None`: not known.
pub(super) fn are_same(one: Open, other: Open) -> Option<bool> {
    kcmp::share_file((one.tid, one.fd), (other.tid, other.fd))
}

/// Adds those who have the waiter's own end of a socket.
pub(super) fn add_shutters(users: &mut Vec<User>, opens: &[Open]) {
    for open in opens {
        match users.iter_mut().find(|user| user.pid == open.pid) {
            Some(user) => user.shuts = true,
            None => users.push(User {
                pid: open.pid,
                fd: Some(open.fd),
                shuts: true,
                ..User::default()
            }),
        }
    }
}

pub(super) fn one_who_writes(pid: u32) -> User {
    User { pid, writes: true, ..User::default() }
}

/// Processes with their lowest descriptor, and whether any of theirs reads or writes.
pub(super) fn users(opens: &[Open], ends: impl Fn(&Open) -> (bool, bool)) -> Vec<User> {
    let mut users: Vec<User> = Vec::new();
    for open in opens {
        let (reads, writes) = ends(open);
        match users.iter_mut().find(|user| user.pid == open.pid) {
            Some(user) => {
                user.fd = user.fd.min(Some(open.fd));
                user.reads |= reads;
                user.writes |= writes;
            }
            None => users.push(User {
                pid: open.pid,
                fd: Some(open.fd),
                reads,
                writes,
                ..User::default()
            }),
        }
    }
    users
}

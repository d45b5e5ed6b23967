//! Who had the lock at the fork.
//!
//! A lock may be inherited more than once: held by a thread of the grandparent, it was held in the
//! parent before the parent forked. The owner field then names a thread that only the grandparent
//! ever had.

use super::{WaitCase, ownerless, probes};
use crate::{
    event::Task,
    finding::{Held, Holder},
    locks::State,
    model::Fork,
};

/// Whether `owner` is a thread whose heir is in the child: the one that forked it, and, where that
/// was its process's first thread, the one that forked that process, and so on.
pub(in crate::hazards) fn has_heir(line: &[&Fork], owner: u32) -> bool {
    for fork in line {
        if fork.by_tid == owner {
            return true;
        }
        if fork.by_tid != fork.by_pid {
            return false;
        }
    }
    // Who forked before the first that is known may have been anybody.
    line.last().is_some_and(|first| first.cut && first.before.is_none())
}

/// Whom the owner field names, who released it after the fork, or the parent's only thread.
pub(super) fn holder(case: &WaitCase<'_>, held: Held) -> Option<Holder> {
    let fork = case.fork.site();
    match held {
        Held::SinceFork => {}
        Held::ByNobody | Held::NotKnown => return None,
        Held::ByWaiter => {
            let Task { pid, tid, comm } = case.task.clone();
            return Some(Holder::new(pid, tid, Some(comm)));
        }
    }
    let owner = match case.reading.at_fork {
        State::Held { owner: Some(owner) } => owner,
        State::Held { owner: None } if let Some(tid) = ownerless::released_by(case) => {
            let named = thread_of(fork, tid);
            return Some(named.unwrap_or(Holder::new(fork.by_pid, tid, None)));
        }
        _ if let Some(named) =
            ownerless::rlock_owner(case).and_then(|tid| thread_of(fork, tid)) =>
        {
            return Some(named);
        }
        _ if let Some(hold) = probes::holder(case) => {
            let named = thread_of(fork, hold.tid);
            return Some(named.unwrap_or(Holder::new(fork.by_pid, hold.tid, None)));
        }
        // Alone at the fork, it had the lock itself: nobody else was there to have it.
        _ if fork.lost.is_empty() && fork.lost_known => return Some(forker(fork)),
        _ => return None,
    };
    // The owner field holds a number of the holder's own pid namespace; names go by the host's.
    let known = match case.evidence.ns_pid {
        None => case.fork.line().iter().find_map(|fork| thread_of(fork, owner)),
        Some(_) => None,
    };
    Some(known.unwrap_or(Holder::new(fork.by_pid, owner, None)))
}

fn forker(fork: &Fork) -> Holder {
    Holder::new(fork.by_pid, fork.by_tid, Some(fork.by_comm.clone()))
}

/// The thread of this number that the forking process had.
fn thread_of(fork: &Fork, tid: u32) -> Option<Holder> {
    if tid == fork.by_tid {
        return Some(forker(fork));
    }
    let thread = fork.lost.iter().find(|thread| thread.tid == tid)?;
    Some(Holder::new(fork.by_pid, tid, Some(thread.comm.clone())))
}

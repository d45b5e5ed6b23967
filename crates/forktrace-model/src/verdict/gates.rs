//! What is never flagged.

use super::{Reason, Verdict, WaitCase};
use crate::{event::Evidence, locks::State};

/// Gates that need no knowledge of the lock.
pub(super) fn wait(evidence: &Evidence) -> Option<Verdict> {
    let ordinary = || Verdict::Innocent(Reason::OrdinaryWait);
    any_wait(evidence).or_else(|| super::ordinary::is_ordinary(evidence).then(ordinary))
}

/// The same without the one that knows Python's library.
pub(super) fn any_wait(evidence: &Evidence) -> Option<Verdict> {
    if evidence.wait.timed {
        return Some(Verdict::Innocent(Reason::Timed));
    }
    if evidence.denied {
        return Some(Verdict::Open(Reason::Denied));
    }
    if !evidence.still_waiting {
        return Some(Verdict::Innocent(Reason::WaitEnded));
    }
    // Decided by the mapping: the op's PRIVATE flag proves nothing either way.
    match &evidence.mapping {
        None => return Some(Verdict::Open(Reason::Unreadable)),
        Some(mapping) if mapping.shared => {
            return Some(Verdict::Innocent(Reason::SharedMapping));
        }
        Some(_) => {}
    }
    if !evidence.memory_shared_with.is_empty() {
        return Some(Verdict::Open(Reason::SharedMemory));
    }
    None
}

/// Gates that compare the lock as inherited with the lock now.
pub(super) fn lock(case: &WaitCase<'_>) -> Option<Reason> {
    let reading = &case.reading;
    // The futex word's own mapping has been looked at; the lock may be elsewhere.
    if case.mapping().is_some_and(|mapping| mapping.shared) {
        return Some(Reason::SharedMapping);
    }
    if reading.at_fork == State::Free {
        return Some(Reason::FreeAtFork);
    }
    match (reading.at_fork, reading.now) {
        (_, State::Held { owner: Some(now) }) if owned_by_child(case, now) => {
            return Some(Reason::OwnedByChild);
        }
        (State::Held { owner: Some(then) }, State::Held { owner: Some(now) }) if then != now => {
            return Some(Reason::OwnerChanged);
        }
        (State::Held { .. }, State::Free)
        | (State::Held { owner: Some(_) }, State::Held { owner: None }) => {
            return Some(Reason::OwnerChanged);
        }
        _ => {}
    }
    let ownerless = !matches!(reading.at_fork, State::Held { owner: Some(_) });
    if ownerless && super::orphan::released_here(case) {
        return Some(Reason::ReleasedHere);
    }
    if ownerless && case.wakes_since_fork().is_some_and(|wakes| wakes > 0) {
        return Some(Reason::WokenSince);
    }
    None
}

/// Whether an owner field names a thread of the child, by the child's own numbering.
pub(super) fn owned_by_child(case: &WaitCase<'_>, owner: u32) -> bool {
    case.evidence.threads.iter().any(|thread| thread.ns_tid.unwrap_or(thread.tid) == owner)
}

//! Could the wait end by itself, or is it about something else? Then there is no hazard.

use super::{WaitCase, fork::ForkKnowledge, fork::OwnerAge, ownerless, python_frames};
use crate::{
    event::Evidence,
    hazards::{Reason, Verdict},
    locks::State,
};

/// Exclusions that need no knowledge of what is waited for.
///
/// # Errors
/// The verdict on a wait that they concern.
pub(super) fn of_any_wait(evidence: &Evidence) -> Result<(), Verdict> {
    if evidence.wait.timed {
        return Err(Verdict::Innocent(Reason::Timed));
    }
    if evidence.denied {
        return Err(Verdict::Open(Reason::Denied));
    }
    if !evidence.still_waiting {
        return Err(Verdict::Innocent(Reason::WaitEnded));
    }
    // Decided by the mapping: the op's PRIVATE flag proves nothing either way.
    match &evidence.mapping {
        None => return Err(Verdict::Open(Reason::Unreadable)),
        Some(mapping) if mapping.shared => {
            return Err(Verdict::Innocent(Reason::SharedMapping));
        }
        Some(_) => {}
    }
    match evidence.memory_shared_with.is_empty() {
        true => Ok(()),
        false => Err(Verdict::Open(Reason::SharedMemory)),
    }
}

/// Exclusions of a wait for a lock that the waiter does not have itself.
pub(in crate::hazards) fn of_lock(case: &WaitCase<'_>) -> Option<Verdict> {
    if let Some(reason) = changed_since(case) {
        return Some(Verdict::Innocent(reason));
    }
    match &case.fork {
        ForkKnowledge::Observed { .. } => {
            may_be_event(case).then_some(Verdict::Open(Reason::UnknownLock))
        }
        ForkKnowledge::Unobserved { owner: OwnerAge::Younger, .. } => {
            Some(Verdict::Innocent(Reason::OwnedByChild))
        }
        ForkKnowledge::Unobserved { .. } => {
            python_frames::is_in_use(case).then_some(Verdict::Open(Reason::OwnedByChild))
        }
    }
}

/// Compares the lock as inherited with the lock now.
fn changed_since(case: &WaitCase<'_>) -> Option<Reason> {
    let reading = &case.reading;
    // The futex word's own mapping has been looked at; the lock may be elsewhere.
    if case.mapping().is_some_and(|mapping| mapping.shared) {
        return Some(Reason::SharedMapping);
    }
    if reading.at_fork == State::Free {
        return Some(Reason::FreeAtFork);
    }
    match (reading.at_fork, reading.now) {
        (_, State::Held { owner: Some(now) }) if case.is_own_thread(now) => {
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
    if ownerless && ownerless::released_here(case) {
        return Some(Reason::ReleasedHere);
    }
    if ownerless && case.wakes_since_fork().is_some_and(|wakes| wakes > 0) {
        return Some(Reason::WokenSince);
    }
    None
}

/// Parts of the names of the functions in which Rust's standard library waits for its locks:
/// `Mutex::lock_contended`, `RwLock::read_contended` and `write_contended`
/// (`std/src/sys/sync/{mutex,rwlock}/futex.rs`, Rust 1.95), `Once::call` and `wait` (`once/futex.rs`).
const LOCKING: [&str; 2] = ["_contended", "futex::Once"];

/// Functions between those and the kernel.
const BELOW: [&str; 2] = ["syscall", "futex_wait"];

/// Whether what is waited for may be an event rather than a lock: by its bytes it could be either, the
/// wakes that would tell are not seen, and no function that waits for a lock is on the stack. Stacks
/// that are not read yet will tell.
fn may_be_event(case: &WaitCase<'_>) -> bool {
    let Some(native) = &case.evidence.native else { return false };
    if !case.reading.family.may_be_event || case.evidence.wakes_since_fork.is_some() {
        return false;
    }
    let symbols = native.stack.frames.iter().map_while(|frame| frame.symbol.as_deref());
    let mut above = symbols.skip_while(|name| BELOW.iter().any(|below| name.ends_with(below)));
    !above.next().is_some_and(|name| LOCKING.iter().any(|part| name.contains(part)))
}

//! Does the waiter wait for a lock that it has itself?
//!
//! The owner field says so: it is the waiter's own number inside of its pid namespace. Locks that
//! their owner may take again do not wait then, and nobody but the owner may unlock the others, so
//! that the wait has no end. That is *certain* where nobody else is left in the process. Beside
//! living threads it is *likely*: there are programs in which one thread takes a mutex twice to
//! sleep and another unlocks it, which POSIX leaves undefined and glibc does not prevent.

use super::{
    WaitCase,
    grade::{Grade, after_losses, nobody_left},
};
use crate::{
    finding::{Confidence, Proof},
    locks::State,
};

/// Grades a case that is a self-deadlock; `None`: it is none.
pub(super) fn grade(case: &WaitCase<'_>) -> Option<Grade> {
    let State::Held { owner: Some(owner) } = case.reading.now else { return None };
    let waiter = case.evidence.threads.iter().find(|thread| thread.tid == case.task.tid)?;
    if waiter.ns_tid.unwrap_or(waiter.tid) != owner {
        return None;
    }
    // Held by that number before the waiter was born: a thread of the parent had it, that is gone,
    // or that has this number in another pid namespace.
    match case.reading.at_fork {
        State::Held { owner: Some(then) } if then == owner => return None,
        State::Unknown if case.evidence.ns_pid.is_some() => return None,
        _ => {}
    }
    let mut proofs = Vec::new();
    let mut say = |rule: &str, detail: String| {
        proofs.push(Proof { rule: rule.to_owned(), detail });
    };
    say("owner-is-waiter", format!("the lock's owner is {owner}, the waiting thread itself"));
    let confidence = match nobody_left(case, &mut say) {
        true => Confidence::Certain,
        false => Confidence::Likely,
    };
    let confidence = after_losses(case, confidence, &mut say)?;
    Some(Grade { confidence, proofs })
}

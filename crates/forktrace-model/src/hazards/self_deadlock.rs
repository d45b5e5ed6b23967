//! A task waits for a lock that it has itself, taken after the fork.
//!
//! The owner field names the waiter by its own number inside of its pid namespace. Locks that their
//! owner may take again do not wait then, and nobody but the owner may unlock the others, so that the
//! wait has no end. That is *certain* where nobody else is left in the process. Beside living threads it
//! is *likely*: there are programs in which one thread takes a mutex twice to sleep and another unlocks
//! it, which POSIX leaves undefined and glibc does not prevent.

use super::{
    Context, Hazard, HazardId, Verdict,
    wait::{Criterion, Waited, conclude, fork, left, self_owned},
};

use crate::finding::Held;

/// See the module.
pub(super) struct SelfDeadlock;

const CRITERIA: &[Criterion] =
    &[left::owner_is_waiter, left::nobody_but_owner, fork::unobserved, fork::events_lost];

impl Hazard for SelfDeadlock {
    fn id(&self) -> HazardId {
        HazardId::SelfDeadlock
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        let Some(Ok(case)) = &cx.wait else { return Verdict::Unrelated };
        if case.waited != Waited::Lock || self_owned(case).is_none() {
            return Verdict::Unrelated;
        }
        match conclude(case, CRITERIA) {
            Some(conclusion) => case.finding(self.id(), Held::ByWaiter, conclusion),
            None => Verdict::Open(case.fork.undecided()),
        }
    }
}

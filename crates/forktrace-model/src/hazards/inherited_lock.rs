//! A task waits for a lock that was held at the instant of the fork.
//!
//! *certain*: the word said "held" at the fork, and either its owner is no task of the child, or nobody
//! is left in the child who could release it. *likely*: nobody is left, but that it was held is not
//! fully proven. *suspect*: somebody is alive who may release it, or a handler or a timer could. Where
//! a lock names no owner, [`ownerless`] narrows down who could release it.

use super::{
    Context, Hazard, HazardId, Verdict,
    wait::{
        Criterion, Waited, conclude, exclusions, fork, held, left, library, ownerless, probes,
        python_frames, release, self_owned,
    },
};

use crate::finding::Held;

/// See the module.
pub(super) struct InheritedLock;

/// The rules, by the question that each answers.
const CRITERIA: &[Criterion] = &[
    // Was it held at the fork?
    held::at_fork,
    held::wakes_unknown,
    held::threads_unknown,
    // Is who held it absent?
    probes::holder_seen,
    held::owner_absent,
    // Is nobody left who could release it?
    left::nobody,
    left::somebody,
    release::interruptions,
    ownerless::untouched,
    library::kept_by_library,
    python_frames::left_behind,
    // Could the wait end in another way?
    release::passed_on,
    release::alarm,
    fork::unobserved,
    fork::events_lost,
];

impl Hazard for InheritedLock {
    fn id(&self) -> HazardId {
        HazardId::InheritedLock
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        let Some(Ok(case)) = &cx.wait else { return Verdict::Unrelated };
        if case.waited != Waited::Lock || self_owned(case).is_some() {
            return Verdict::Unrelated;
        }
        if let Some(verdict) = exclusions::of_lock(case) {
            return verdict;
        }
        match conclude(case, CRITERIA) {
            Some(conclusion) => case.finding(self.id(), Held::SinceFork, conclusion),
            None => Verdict::Open(case.fork.undecided()),
        }
    }
}

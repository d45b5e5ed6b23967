//! A task waits for a lock in shared memory, or on a file, whose holder has ended or is not to be found.

use super::{Context, Hazard, HazardId, Verdict, stall};

/// See the module.
pub(super) struct OrphanedLock;

impl Hazard for OrphanedLock {
    fn id(&self) -> HazardId {
        HazardId::OrphanedLock
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        stall::judge(cx, self.id())
    }
}

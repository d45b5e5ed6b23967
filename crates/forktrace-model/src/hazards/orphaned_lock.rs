//! A task waits for a lock in shared memory, or on a file, whose holder has ended or is not to be found.

use super::{Context, Hazard, HazardId, Verdict, stall};
use crate::{event::Event, finding::Key};

/// See the module.
pub(super) struct OrphanedLock;

impl Hazard for OrphanedLock {
    fn id(&self) -> HazardId {
        HazardId::OrphanedLock
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        stall::judge(cx, self.id())
    }

    fn resolved_by(&self, event: &Event) -> Option<Key> {
        stall::ended_by(event)
    }
}

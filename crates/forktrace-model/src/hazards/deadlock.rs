//! Tasks wait for each other, in one process or across several, and nobody else could end a wait of
//! theirs.

use super::{Context, Hazard, HazardId, Verdict, stall};
use crate::{event::Event, finding::Key};

/// See the module.
pub(super) struct Deadlock;

impl Hazard for Deadlock {
    fn id(&self) -> HazardId {
        HazardId::Deadlock
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        stall::judge(cx, self.id())
    }

    fn resolved_by(&self, event: &Event) -> Option<Key> {
        stall::ended_by(event)
    }
}

//! A task waits for the end of a pipe or socket whose other end is open only where nobody will close
//! it: in the waiting process itself, or in other forked children.

use super::{Context, Hazard, HazardId, Verdict, stall};
use crate::{event::Event, finding::Key};

/// See the module.
pub(super) struct HeldOpen;

impl Hazard for HeldOpen {
    fn id(&self) -> HazardId {
        HazardId::HeldOpen
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        stall::judge(cx, self.id())
    }

    fn resolved_by(&self, event: &Event) -> Option<Key> {
        stall::ended_by(event)
    }
}

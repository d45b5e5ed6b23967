//! A task waits for the end of a pipe or socket whose other end is open only where nobody will close
//! it: in the waiting process itself, or in other forked children.

use super::{Context, Hazard, HazardId, Verdict, stall};

/// See the module.
pub(super) struct HeldOpen;

impl Hazard for HeldOpen {
    fn id(&self) -> HazardId {
        HazardId::HeldOpen
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        stall::judge(cx, self.id())
    }
}

//! Tasks wait for each other, in one process or across several, and nobody else could end a wait of
//! theirs.

use super::{Context, Hazard, HazardId, Verdict, stall};

/// See the module.
pub(super) struct Deadlock;

impl Hazard for Deadlock {
    fn id(&self) -> HazardId {
        HazardId::Deadlock
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        stall::judge(cx, self.id())
    }
}

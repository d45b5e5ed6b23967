//! Both sides of a fork use one open description: replies go to whoever reads first.
//!
//! [`connection`] judges connections, from what the kernel counts of each process's use of the socket.

mod advice;
mod connection;
#[cfg(test)]
mod tests;

use super::{Context, Hazard, HazardId, Reason, Verdict};
use crate::event::Body;

/// See the module.
pub(super) struct SharedDescriptor;

impl Hazard for SharedDescriptor {
    fn id(&self) -> HazardId {
        HazardId::SharedDescriptor
    }

    fn judge(&self, cx: &Context<'_>) -> Verdict {
        let Body::SocketUse(seen) = &cx.event.body else { return Verdict::Unrelated };
        match connection::judge(cx.model, seen.inode) {
            Some(finding) => Verdict::Finding(Box::new(finding)),
            None => Verdict::Open(Reason::NotHarmful),
        }
    }
}

//! Both sides of a fork use one open description: replies go to whoever reads first.
//!
//! [`connection`] judges connections, from what the kernel counts of each process's use of the socket.
//! [`file`] judges regular files and epoll instances, from looks at who has them.

mod advice;
mod connection;
mod envelope;
mod file;
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
        let finding = match &cx.event.body {
            Body::SocketUse(seen) => connection::judge(cx.model, seen.inode),
            Body::FileUse(seen) => file::judge(cx.model, seen),
            _ => return Verdict::Unrelated,
        };
        match finding {
            Some(finding) => Verdict::Finding(Box::new(finding)),
            None => Verdict::Open(Reason::NotHarmful),
        }
    }
}

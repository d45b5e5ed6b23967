//! Python frames of a blocked thread, read by py-spy without stopping the process.
//!
//! py-spy reads with `process_vm_readv`, which makes the kernel copy pages that the process still
//! shares with its parent (see [`super::memory`]): whatever is to be learnt about inherited pages
//! must be read before.

use crate::event::Python;

/// Frames of thread `tid` of `pid`, innermost first. `ns_tid` is the thread's id in its own pid
/// namespace, which is the one that Python knows.
#[cfg(feature = "python")]
pub fn frames(pid: u32, tid: u32, ns_tid: u32) -> Python {
    match spy::frames(pid, tid, ns_tid) {
        Ok(frames) => Python::Frames(frames),
        Err(reason) => Python::None(reason),
    }
}

/// Says that this build cannot read Python frames.
#[cfg(not(feature = "python"))]
pub fn frames(_pid: u32, _tid: u32, _ns_tid: u32) -> Python {
    Python::None("built without Python support".into())
}

#[cfg(feature = "python")]
mod spy;

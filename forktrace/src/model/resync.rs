//! A new look at `/proc` after a loss: snapshots that share one time, ended by the next event.

use rustc_hash::FxHashSet;

use crate::event::{Body, Event};

/// The look under way, if any.
#[derive(Debug, Default)]
pub(super) struct Resync {
    look: Option<(u64, FxHashSet<u32>)>,
}

impl Resync {
    /// A process was seen alive.
    pub(super) fn seen(&mut self, at: u64, pid: u32) {
        self.look.get_or_insert_with(|| (at, FxHashSet::default())).1.insert(pid);
    }

    /// If `event` ends the look: its time and the pids that it showed.
    pub(super) fn close(&mut self, event: &Event) -> Option<(u64, FxHashSet<u32>)> {
        let (at, _) = self.look.as_ref()?;
        let goes_on = match &event.body {
            Body::ProcessSnapshot(snapshot) => snapshot.resync && event.boot_ns == *at,
            _ => false,
        };
        if goes_on { None } else { self.look.take() }
    }
}

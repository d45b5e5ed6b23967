//! Memory that reading stacks took, and when it is given back to the system.

use crate::{inspect::stacks, kernel};

/// How often memory is given back at most, ns.
const GIVE_BACK_NS: u64 = 10_000_000_000;
/// How long after an answer a reader of stacks may take to free its memory, ns.
const FREED_NS: u64 = 1_000_000_000;

/// When memory is to be given back.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// When something was last being read, if since memory was last given back.
    read_ns: Option<u64>,
    given_back_ns: u64,
}

impl Memory {
    /// Gives back what reading took, once nothing is read any more.
    pub(super) fn give_back(&mut self, now_ns: u64, is_reading: bool) {
        if is_reading {
            self.read_ns = Some(now_ns);
        }
        let due = self.given_back_ns.saturating_add(GIVE_BACK_NS) <= now_ns;
        // A reader answers before it has freed what it read.
        let is_freed = |read_ns: u64| read_ns.saturating_add(FREED_NS) <= now_ns;
        if due && self.read_ns.is_some_and(is_freed) {
            self.forget(now_ns);
        }
    }

    /// Gives back what can be read again, also while something is being read.
    pub(super) fn give_back_now(&mut self, now_ns: u64) {
        let due = self.given_back_ns.saturating_add(GIVE_BACK_NS) <= now_ns;
        if due {
            self.forget(now_ns);
        }
    }

    fn forget(&mut self, now_ns: u64) {
        stacks::forget_images();
        kernel::give_back_memory();
        (self.read_ns, self.given_back_ns) = (None, now_ns);
    }
}

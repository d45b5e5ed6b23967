//! How much memory the reading of a log may take.
//!
//! What is kept of a log grows with what was alive at once in it, which is little in a real one. A
//! hostile one may be a few kilobytes, compressed, and tell of more processes than there is memory.

use crate::{pipeline::caveats::LogCaveat, resident::Resident};

/// Lines between two readings, which take a microsecond each.
const EVERY: u32 = 16;

/// Watches the memory of this process.
#[derive(Debug)]
pub(super) struct Budget {
    resident: Resident,
    most: u64,
    lines: u32,
}

impl Budget {
    /// No more than `most` bytes.
    pub(super) fn new(most: u64) -> Self {
        Budget { resident: Resident::open(), most, lines: 0 }
    }

    /// Whether there is more in memory; asked once a line.
    pub(super) fn is_spent(&mut self) -> bool {
        self.lines = self.lines.wrapping_add(1);
        self.lines.is_multiple_of(EVERY)
            && self.resident.bytes().is_some_and(|bytes| bytes > self.most)
    }

    /// That no more was read than the lines before this one.
    pub(super) fn caveat(&self, line: u64) -> LogCaveat {
        LogCaveat::MemorySpent { most: self.most, line }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_by_what_is_in_memory() {
        let spent = |most| {
            let mut budget = Budget::new(most);
            (0..=EVERY).any(|_| budget.is_spent())
        };
        assert!(spent(4096) && !spent(1 << 50));
    }
}

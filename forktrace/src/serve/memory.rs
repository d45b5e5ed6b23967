//! How near the service is to its memory limit.

use crate::resident::Resident;

/// From this part of the limit on (percent) caches are given back, and until it is below [`ENOUGH`].
const NEAR: u64 = 80;
/// Percent.
const ENOUGH: u64 = 70;

/// Watches the resident memory of this process.
#[derive(Debug)]
pub(super) struct Memory {
    resident: Resident,
    limit: u64,
    limited: bool,
}

impl Memory {
    /// `limit`: bytes.
    pub(super) fn new(limit: u64) -> Self {
        Memory { resident: Resident::open(), limit, limited: false }
    }

    pub(super) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Whether memory is short; and whether that has changed since this was asked last.
    pub(super) fn check(&mut self) -> (bool, bool) {
        let resident = self.resident.bytes().unwrap_or(0);
        self.check_at(resident)
    }

    fn check_at(&mut self, resident: u64) -> (bool, bool) {
        let part = if self.limited { ENOUGH } else { NEAR };
        let limited = resident.saturating_mul(100) >= self.limit.saturating_mul(part);
        let changed = limited != self.limited;
        self.limited = limited;
        (limited, changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_from_80_to_70_percent() {
        let mut memory = Memory::new(1000);
        let checks = [799, 800, 750, 699, 799].map(|resident| memory.check_at(resident));
        let wanted = [(false, false), (true, true), (true, false), (false, true), (false, false)];
        assert_eq!(checks, wanted);
        assert!(Memory::new(1).check().0, "this test has more than a byte");
    }
}

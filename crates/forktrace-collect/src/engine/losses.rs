//! What is known of lost records: when to read `/proc` again, and of which kinds a loss was.

use std::collections::BTreeMap;

/// The least time between two resyncs, in which all processes are read, ns.
const BETWEEN_RESYNCS_NS: u64 = 1_000_000_000;

/// The least time between two resyncs where nothing was missed, but something goes on unseen: that
/// may last for hours.
const BETWEEN_RESYNCS_OF_OPEN_NS: u64 = 5_000_000_000;

/// Losses so far, of records and of processes that could not be followed.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Missed in all at the latest resync.
    missed: u64,
    /// When that was, `CLOCK_BOOTTIME`, ns.
    resynced_ns: u64,
    /// Counts by kind that were reported already.
    reported: BTreeMap<String, u64>,
}

impl Losses {
    /// Whether a resync is due, with `total` missed in all; `open`: something that is
    /// known goes on unseen; `last`: there is no later chance.
    pub(super) fn is_due(&mut self, total: u64, open: bool, now_ns: u64, last: bool) -> bool {
        let since = now_ns.saturating_sub(self.resynced_ns);
        let due = (total > self.missed && (last || since >= BETWEEN_RESYNCS_NS))
            || (open && (last || since >= BETWEEN_RESYNCS_OF_OPEN_NS));
        if due {
            self.missed = total;
            self.resynced_ns = now_ns;
        }
        due
    }

    /// Splits a loss of `count` records by kind, given the counts of all losses so far. No record is
    /// reported twice: the counts may already include losses that are reported later.
    pub(super) fn explain(
        &mut self,
        count: u64,
        dropped: &BTreeMap<String, u64>,
    ) -> BTreeMap<String, u64> {
        let mut left = count;
        let mut kinds = BTreeMap::new();
        for (kind, total) in dropped {
            let reported = self.reported.entry(kind.clone()).or_default();
            let now = total.saturating_sub(*reported).min(left);
            if now > 0 {
                *reported += now;
                left -= now;
                kinds.insert(kind.clone(), now);
            }
        }
        kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(fork: u64, exit: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([("fork".into(), fork), ("exit".into(), exit)])
    }

    #[test]
    fn kinds_add_up_to_each_loss_and_to_the_total() {
        let mut losses = Losses::default();
        assert_eq!(losses.explain(2, &counts(3, 1)), counts(1, 1));
        assert_eq!(losses.explain(2, &counts(3, 1)), BTreeMap::from([("fork".into(), 2)]));
        assert_eq!(losses.explain(5, &counts(3, 1)), BTreeMap::new());
    }

    #[test]
    fn a_resync_is_due_once_a_second_and_at_the_end() {
        let mut losses = Losses::default();
        let second = BETWEEN_RESYNCS_NS;
        assert!(!losses.is_due(0, false, 5 * second, true), "nothing was lost");
        assert!(losses.is_due(1, false, 5 * second, false));
        assert!(!losses.is_due(2, false, 5 * second + 1, false));
        assert!(losses.is_due(2, false, 5 * second + 1, true));
        assert!(losses.is_due(3, false, 7 * second, false));
        assert!(!losses.is_due(3, false, 9 * second, false));
        assert!(!losses.is_due(3, true, 9 * second, false));
        assert!(losses.is_due(3, true, 9 * second, true));
        assert!(losses.is_due(3, true, 14 * second, false));
    }
}

//! What is known of lost records: when to heal, and of which kinds a loss was.

use std::collections::BTreeMap;

/// The least time between two new looks at all processes, ns.
const BETWEEN_LOOKS_NS: u64 = 1_000_000_000;

/// The same where nothing was missed, but something goes on unseen: that may last for hours.
const BETWEEN_LOOKS_AT_OPEN_NS: u64 = 5_000_000_000;

/// Losses so far, of records and of processes that could not be followed.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Missed in all when the model was last healed.
    healed: u64,
    healed_ns: u64,
    /// Counts by kind that were told already.
    told: BTreeMap<String, u64>,
}

impl Losses {
    /// Whether the model is to be healed now, with `total` missed in all; `open`: something that is
    /// known goes on unseen; `last`: there is no later chance.
    pub(super) fn is_due(&mut self, total: u64, open: bool, now_ns: u64, last: bool) -> bool {
        let since = now_ns.saturating_sub(self.healed_ns);
        let due = (total > self.healed && (last || since >= BETWEEN_LOOKS_NS))
            || (open && (last || since >= BETWEEN_LOOKS_AT_OPEN_NS));
        if due {
            self.healed = total;
            self.healed_ns = now_ns;
        }
        due
    }

    /// Splits a loss of `count` records by kind, given the counts of all losses so far. No record is
    /// told twice: the counts may already include losses that are told later.
    pub(super) fn explain(
        &mut self,
        count: u64,
        dropped: &BTreeMap<String, u64>,
    ) -> BTreeMap<String, u64> {
        let mut left = count;
        let mut kinds = BTreeMap::new();
        for (kind, total) in dropped {
            let told = self.told.entry(kind.clone()).or_default();
            let now = total.saturating_sub(*told).min(left);
            if now > 0 {
                *told += now;
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
    fn the_model_is_healed_once_a_second_and_at_the_end() {
        let mut losses = Losses::default();
        let second = BETWEEN_LOOKS_NS;
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

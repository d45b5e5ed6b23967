//! Series whose labels come from traced programs: how many values a label may have, from when on a counter
//! counts, and when it goes.

use std::{
    collections::BTreeSet,
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use rustc_hash::FxHashMap;

/// Names and values of labels.
pub type Labels = Vec<(&'static str, String)>;
/// A gauge in whole numbers.
pub(super) type Gauges = Family<Labels, Gauge>;
/// A gauge in seconds.
pub(super) type Seconds = Family<Labels, Gauge<f64, AtomicU64>>;
/// Counters by labels.
pub(super) type Counters = Family<Labels, Counter>;

/// The value of a label in the place of all that are too many.
pub const OTHER: &str = "~other";
/// A new counter stays at 0 until it was read once, or for this long: from a series that begins with 1
/// `increase()` of Prometheus finds no increase.
const UNREAD: Duration = Duration::from_secs(120);

/// How many values each label may have.
#[derive(Debug)]
pub struct Caps {
    most: usize,
    seen: FxHashMap<&'static str, BTreeSet<String>>,
}

impl Caps {
    /// At most so many.
    pub fn new(most: usize) -> Self {
        Caps { most, seen: FxHashMap::default() }
    }

    /// Sets another bound. Values that were let through stay.
    pub fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// A value of a label, or [`OTHER`]; then `overflow` is called.
    pub fn value(
        &mut self,
        label: &'static str,
        value: &str,
        overflow: impl FnOnce(&'static str),
    ) -> String {
        let seen = self.seen.entry(label).or_default();
        if !seen.contains(value) {
            if seen.len() >= self.most {
                overflow(label);
                return OTHER.to_owned();
            }
            seen.insert(value.to_owned());
        }
        value.to_owned()
    }

    /// Forgets the values that are in none of these labels any more.
    pub fn keep<'a>(&mut self, used: impl Iterator<Item = &'a Labels>) {
        let mut still: FxHashMap<&'static str, BTreeSet<String>> = FxHashMap::default();
        for (label, value) in used.flatten() {
            if self.seen.get(label).is_some_and(|seen| seen.contains(value)) {
                still.entry(*label).or_default().insert(value.clone());
            }
        }
        self.seen = still;
    }
}

/// Counters that come, and go again when nothing has been counted for long.
#[derive(Debug, Default)]
pub(super) struct Growing {
    /// The counters.
    pub(super) family: Counters,
    known: FxHashMap<Labels, Known>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    /// What is to be added once it was read.
    unread: u64,
    born: Instant,
    /// How often the metrics had been read when it was born.
    reads: u64,
    last: Instant,
}

impl Growing {
    /// Counts one. `reads`: how often the metrics have been read.
    pub(super) fn count(&mut self, labels: Labels, reads: u64, now: Instant) {
        if let Some(known) = self.known.get_mut(&labels) {
            known.last = now;
            match known.unread {
                0 => {
                    self.family.get_or_create(&labels).inc();
                }
                _ => known.unread += 1,
            }
            return;
        }
        drop(self.family.get_or_create(&labels));
        self.known.insert(labels, Known { unread: 1, born: now, reads, last: now });
    }

    /// Adds what was held back for counters that have been read since, and drops those for which nothing was
    /// counted for `ttl`. True: some were dropped.
    pub(super) fn tick(&mut self, reads: u64, ttl: Duration, now: Instant) -> bool {
        for (labels, known) in &mut self.known {
            let is_read = reads > known.reads || now.duration_since(known.born) >= UNREAD;
            if known.unread > 0 && is_read {
                self.family.get_or_create(labels).inc_by(std::mem::take(&mut known.unread));
            }
        }
        let before = self.known.len();
        let family = &self.family;
        self.known.retain(|labels, known| {
            let stays = now.duration_since(known.last) < ttl;
            if !stays {
                family.remove(labels);
            }
            stays
        });
        self.known.len() < before
    }

    /// The labels that there are.
    pub(super) fn labels(&self) -> impl Iterator<Item = &Labels> {
        self.known.keys()
    }
}

/// Sets gauges to these values, and removes all others that were set the last time.
pub(super) fn set_all<N: Copy, G>(
    family: &Family<Labels, G>,
    before: &mut BTreeSet<Labels>,
    values: impl Iterator<Item = (Labels, N)>,
    set: impl Fn(&G, N),
) where
    G: Default,
{
    let mut now = BTreeSet::new();
    for (labels, value) in values {
        set(&family.get_or_create(&labels), value);
        now.insert(labels);
    }
    for gone in before.difference(&now) {
        family.remove(gone);
    }
    *before = now;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_the_bound_are_one() {
        let mut caps = Caps::new(2);
        let mut overflows = 0;
        let mut value = |value: &str| caps.value("executable", value, |_| overflows += 1);
        let values = [value("a"), value("b"), value("c"), value("a"), value("d")];
        assert_eq!(values, ["a", "b", OTHER, "a", OTHER]);
        assert_eq!(overflows, 2);
        caps.keep([vec![("executable", "b".to_owned())]].iter());
        assert_eq!(caps.value("executable", "c", |_| {}), "c", "there is room again");
    }

    #[test]
    fn a_counter_begins_with_zero_and_counts_from_the_next_read_on() {
        let start = Instant::now();
        let mut growing = Growing::default();
        let labels = || vec![("kind", "x".to_owned())];
        let hour = Duration::from_secs(3600);
        growing.count(labels(), 7, start);
        growing.count(labels(), 7, start);
        let value = |growing: &Growing| growing.family.get(&labels()).map(|counter| counter.get());
        growing.tick(7, hour, start);
        assert_eq!(value(&growing), Some(0));
        growing.tick(8, hour, start);
        assert_eq!(value(&growing), Some(2));
        growing.count(labels(), 8, start);
        assert_eq!(value(&growing), Some(3));
        assert!(growing.tick(9, hour, start + hour));
        assert_eq!(value(&growing), None);
        growing.count(labels(), 9, start);
        growing.tick(9, hour, start + UNREAD);
        assert_eq!(value(&growing), Some(1), "nobody reads them");
    }

    #[test]
    fn gauges_go_with_what_they_are_about() {
        let family = Gauges::default();
        let mut before = BTreeSet::new();
        let labels = |value: &str| vec![("kind", value.to_owned())];
        let mut set = |values: &[(&str, i64)]| {
            let values = values.iter().map(|(value, n)| (labels(value), *n));
            set_all(&family, &mut before, values, |gauge, n| _ = gauge.set(n));
        };
        set(&[("a", 1), ("b", 2)]);
        set(&[("b", 3)]);
        assert!(family.get(&labels("a")).is_none());
        assert_eq!(family.get(&labels("b")).map(|gauge| gauge.get()), Some(3));
    }
}

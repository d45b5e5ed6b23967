//! When the loop does what is due. What has happened is followed soon; otherwise the loop sleeps until
//! something is due, so that a host on which nothing happens hardly runs it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::intake::REORDER_NS;

/// How soon after something has happened what is due is done, and how often at most.
const TICK: Duration = Duration::from_millis(100);
/// How often at least: the kernel's counts of losses are read then.
const REST: Duration = Duration::from_secs(1);
/// How soon events that are held back can be in their final order.
const SETTLE: Duration = Duration::from_nanos(REORDER_NS + 1_000_000);

/// When to wake up next.
#[derive(Debug)]
pub(super) struct Pace {
    ticked: Instant,
    next: Instant,
    /// When events that are held back are looked at again.
    settle: Option<Instant>,
}

impl Pace {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Pace { ticked: now, next: now, settle: None }
    }

    /// Waits until there is something to do. True: what is due is to be done; false: events that were
    /// held back may be in their final order. Cancel-safe.
    pub(super) async fn next(&mut self) -> bool {
        match self.settle {
            Some(settle) if settle < self.next => {
                sleep_until(settle).await;
                self.settle = None;
                false
            }
            _ => {
                sleep_until(self.next).await;
                true
            }
        }
    }

    /// Something has happened: what follows from it is done soon.
    pub(super) fn stir(&mut self) {
        self.next = self.next.min(self.ticked + TICK);
    }

    /// Says whether events are held back.
    pub(super) fn hold(&mut self, events: bool) {
        match events {
            true => {
                self.settle.get_or_insert_with(|| Instant::now() + SETTLE);
            }
            false => self.settle = None,
        }
    }

    /// What was due was done. `due_ns`: when something is due next, as far as is known; `now_ns`: now, by
    /// the same clock.
    pub(super) fn ticked(&mut self, due_ns: Option<u64>, now_ns: u64) {
        let until = |due_ns: u64| Duration::from_nanos(due_ns.saturating_sub(now_ns));
        self.ticked = Instant::now();
        self.next = self.ticked + due_ns.map_or(REST, until).clamp(TICK, REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after the latest tick the next one is.
    fn pause(pace: &Pace) -> Duration {
        pace.next - pace.ticked
    }

    #[test]
    fn what_is_due_decides_within_limits() {
        let mut pace = Pace::new();
        for (due_ns, wanted) in [
            (None, REST),
            (Some(5), TICK),
            (Some(300_000_010), Duration::from_millis(300)),
            (Some(u64::MAX), REST),
        ] {
            pace.ticked(due_ns, 10);
            assert_eq!(pause(&pace), wanted, "{due_ns:?}");
        }
    }

    #[test]
    fn what_happens_is_followed_soon_and_delays_nothing() {
        let mut pace = Pace::new();
        pace.ticked(None, 0);
        pace.stir();
        pace.stir();
        assert_eq!(pause(&pace), TICK);
    }

    #[test]
    fn events_that_are_held_back_are_looked_at_once_each_time() {
        let mut pace = Pace::new();
        pace.ticked(None, 0);
        pace.hold(true);
        let first = pace.settle;
        pace.hold(true);
        assert!(first.is_some() && pace.settle == first);
        pace.hold(false);
        assert_eq!(pace.settle, None);
    }
}

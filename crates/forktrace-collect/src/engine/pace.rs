//! When the loop does what is due. What has happened is followed soon; otherwise the loop sleeps until
//! something is due, so that a host on which nothing happens hardly runs it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::intake::REORDER_NS;

/// How soon after something has happened what is due is done, and how often at most.
const TICK: Duration = Duration::from_millis(100);
/// How often at least, ns: the kernel's counts of losses are read then.
const REST_NS: u64 = 1_000_000_000;
/// What is due at least this long from now is done at a multiple of it, `CLOCK_BOOTTIME`, ns: together with
/// what else is due by then.
const GRID_NS: u64 = 500_000_000;
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
        self.ticked = Instant::now();
        self.next = self.ticked + pause(due_ns, now_ns);
    }

    /// Something has happened that needs nothing to be done before `due_ns`. The clock as above.
    pub(super) fn expect(&mut self, due_ns: Option<u64>, now_ns: u64) {
        let due = Instant::now() + pause(due_ns, now_ns);
        self.next = self.next.min(due.max(self.ticked + TICK));
    }
}

/// How long to wait for what is due at `due_ns`.
fn pause(due_ns: Option<u64>, now_ns: u64) -> Duration {
    let latest_ns = now_ns.saturating_add(REST_NS) / GRID_NS * GRID_NS;
    let next_ns = match due_ns {
        Some(due_ns) if due_ns >= latest_ns => latest_ns,
        Some(due_ns) if due_ns.saturating_sub(now_ns) >= GRID_NS => {
            due_ns.next_multiple_of(GRID_NS)
        }
        Some(due_ns) => due_ns,
        None => latest_ns,
    };
    Duration::from_nanos(next_ns.saturating_sub(now_ns)).max(TICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long after the latest tick the next one is.
    fn after(pace: &Pace) -> Duration {
        pace.next - pace.ticked
    }

    #[test]
    fn what_is_due_decides_within_limits() {
        let (mut pace, ms) = (Pace::new(), 1_000_000);
        // The next multiples are 480 and 980 ms away.
        let now_ns = 7020 * ms;
        for (due, wanted) in [
            (None, 980),
            (Some(0), 100),
            (Some(7021), 100),
            (Some(7320), 300),
            (Some(7519), 499),
            (Some(7520), 980),
            (Some(7999), 980),
            (Some(9000), 980),
        ] {
            pace.ticked(due.map(|due| due * ms), now_ns);
            assert_eq!(after(&pace), Duration::from_millis(wanted), "{due:?}");
        }
        pace.ticked(Some(u64::MAX), u64::MAX);
        assert_eq!(after(&pace), TICK);
    }

    #[test]
    fn what_is_expected_delays_nothing_and_hurries_nothing() {
        let (mut pace, ms) = (Pace::new(), 1_000_000);
        pace.ticked(Some(7300 * ms), 7000 * ms);
        let before = pace.next;
        pace.expect(None, 7000 * ms);
        assert_eq!(pace.next, before);
        pace.expect(Some(0), 7000 * ms);
        assert!(after(&pace) >= TICK && pace.next < before);
    }

    #[test]
    fn what_happens_is_followed_soon_and_delays_nothing() {
        let mut pace = Pace::new();
        pace.ticked(None, 0);
        pace.stir();
        pace.stir();
        assert_eq!(after(&pace), TICK);
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

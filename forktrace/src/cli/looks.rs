//! When to look closer at a wait: at once when it crosses the threshold, then each time its age
//! has doubled, until it is proven, ends, or turns out to be none of ours.

use forktrace_common::maps::WaitState;
use rustc_hash::FxHashMap;

/// A wait's identity: (tid, enter_ns).
type WaitId = (u32, u64);

/// The waits over the threshold.
#[derive(Debug, Default)]
pub(super) struct Looks {
    waits: FxHashMap<WaitId, Look>,
}

#[derive(Debug)]
struct Look {
    /// When to look next, `CLOCK_BOOTTIME`, ns.
    due_ns: u64,
    /// A look is under way.
    busy: bool,
    /// A look has come to its end.
    ended: bool,
    seen: bool,
}

impl Looks {
    /// Takes the long waits of this moment. Returns those that are new.
    pub(super) fn update<'a>(&mut self, waits: &'a [WaitState]) -> Vec<&'a WaitState> {
        for look in self.waits.values_mut() {
            look.seen = false;
        }
        let mut new = Vec::new();
        for wait in waits {
            let look = self.waits.entry((wait.tid, wait.enter_ns)).or_insert_with(|| {
                new.push(wait);
                Look { due_ns: 0, busy: false, ended: false, seen: true }
            });
            look.seen = true;
        }
        self.waits.retain(|_, look| look.seen || look.busy);
        new
    }

    /// Whether a wait is due for a look; if so, the look counts as begun.
    pub(super) fn begin(&mut self, wait: &WaitState, now_ns: u64) -> bool {
        match self.waits.get_mut(&(wait.tid, wait.enter_ns)) {
            Some(look) if !look.busy && look.due_ns <= now_ns => {
                look.busy = true;
                true
            }
            _ => false,
        }
    }

    /// Whether a look at this wait has come to its end.
    pub(super) fn has_ended(&self, wait: &WaitState) -> bool {
        self.waits.get(&(wait.tid, wait.enter_ns)).is_some_and(|look| look.ended)
    }

    /// A look is over; the next is due when the wait is twice as old, or never.
    pub(super) fn end(&mut self, tid: u32, enter_ns: u64, now_ns: u64, settled: bool) {
        if let Some(look) = self.waits.get_mut(&(tid, enter_ns)) {
            (look.busy, look.ended) = (false, true);
            let age = now_ns.saturating_sub(enter_ns);
            look.due_ns = if settled { u64::MAX } else { now_ns.saturating_add(age) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(tid: u32, enter_ns: u64) -> WaitState {
        WaitState { tid, enter_ns, ..WaitState::default() }
    }

    #[test]
    fn looks_again_when_the_age_has_doubled_and_not_once_settled() {
        let mut looks = Looks::default();
        let waits = [wait(1, 100)];
        assert_eq!(looks.update(&waits).len(), 1);
        assert!(looks.update(&waits).is_empty(), "a wait is new once");
        assert!(looks.begin(&waits[0], 200));
        assert!(!looks.begin(&waits[0], 200), "one look at a time");
        assert!(!looks.has_ended(&waits[0]));
        looks.end(1, 100, 200, false);
        assert!(looks.has_ended(&waits[0]));
        assert!(!looks.begin(&waits[0], 299));
        assert!(looks.begin(&waits[0], 300));
        looks.end(1, 100, 300, true);
        assert!(!looks.begin(&waits[0], u64::MAX - 1));
    }

    #[test]
    fn a_wait_that_is_gone_is_forgotten_and_the_next_one_is_new() {
        let mut looks = Looks::default();
        looks.update(&[wait(1, 100)]);
        looks.update(&[]);
        assert!(looks.waits.is_empty());
        assert_eq!(looks.update(&[wait(1, 500)]).len(), 1);
    }
}

//! Lifecycle lines on a terminal: a few a second are printed, the others are counted, so that they do
//! not hide a finding.

use std::time::{Duration, Instant};

use super::plural;
use forktrace_model::event::Body;

/// Lines printed in [`WINDOW_NS`].
const MOST_LINES: u32 = 10;
/// ns in which lines are counted together.
const WINDOW_NS: u64 = 1_000_000_000;

/// Counts lifecycle lines.
#[derive(Debug, Default)]
pub(super) struct Flood {
    /// When the window began, `CLOCK_BOOTTIME`, ns.
    began_ns: u64,
    printed: u32,
    hidden: Counts,
    /// The latest line that was hidden, `CLOCK_BOOTTIME`, ns.
    last_ns: u64,
    /// When the first of the hidden lines came.
    since: Option<Instant>,
}

/// Lines that are counted, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    found: u64,
    forks: u64,
    threads: u64,
    execs: u64,
    exits: u64,
}

impl Flood {
    /// Whether the line of an event is to be counted instead of printed.
    pub(super) fn hides(&mut self, at_ns: u64, body: &Body) -> bool {
        if !is_lifecycle(body) {
            return false;
        }
        // Also where the times of a damaged log go back.
        if at_ns.abs_diff(self.began_ns) >= WINDOW_NS {
            (self.began_ns, self.printed) = (at_ns, 0);
        }
        if self.printed < MOST_LINES {
            self.printed += 1;
            return false;
        }
        self.hidden.add(body);
        self.last_ns = at_ns;
        self.since.get_or_insert_with(Instant::now);
        true
    }

    /// Whether the hidden lines are to be told before a line of this time.
    pub(super) fn is_over(&self, at_ns: u64) -> bool {
        self.since.is_some() && at_ns.abs_diff(self.began_ns) >= WINDOW_NS
    }

    /// Whether the hidden lines have waited for another line long enough.
    pub(super) fn is_due(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= Duration::from_nanos(WINDOW_NS))
    }

    /// The hidden lines as a count, and the time of the latest of them; forgets them.
    pub(super) fn take(&mut self) -> Option<(u64, String)> {
        self.since.take()?;
        let Counts { found, forks, threads, execs, exits } = std::mem::take(&mut self.hidden);
        let parts = [
            (found, "process found", "processes found"),
            (forks, "fork", "forks"),
            (threads, "thread event", "thread events"),
            (execs, "exec", "execs"),
            (exits, "exit", "exits"),
        ];
        let parts = parts.iter().filter(|(n, ..)| *n > 0);
        let parts: Vec<_> = parts.map(|(n, one, many)| plural(*n, one, many)).collect();
        Some((self.last_ns, format!("{} not shown", parts.join(", "))))
    }
}

impl Counts {
    fn add(&mut self, body: &Body) {
        let count = match body {
            Body::ProcessFork(_) => &mut self.forks,
            Body::ProcessExec(_) => &mut self.execs,
            Body::ProcessExit(_) => &mut self.exits,
            Body::ProcessSnapshot(_) => &mut self.found,
            _ => &mut self.threads,
        };
        *count += 1;
    }
}

fn is_lifecycle(body: &Body) -> bool {
    matches!(
        body,
        Body::ProcessFork(_)
            | Body::ProcessExec(_)
            | Body::ProcessExit(_)
            | Body::ProcessSnapshot(_)
            | Body::ThreadStart(_)
            | Body::ThreadExit(_)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use forktrace_model::event::{ProcessExit, ProcessFork};

    #[test]
    fn lines_beyond_ten_a_second_are_counted() {
        let mut flood = Flood::default();
        let fork = Body::ProcessFork(ProcessFork::default());
        let exit = Body::ProcessExit(ProcessExit::default());
        let at = 5 * WINDOW_NS;
        let shown = (0..20).filter(|n| !flood.hides(at + n, &fork)).count();
        assert_eq!(shown, 10);
        assert!(flood.hides(at + 30, &exit));
        assert!(!flood.is_over(at + 40) && flood.is_over(at + WINDOW_NS));
        assert_eq!(flood.take().unwrap(), (at + 30, "10 forks, 1 exit not shown".into()));
        assert_eq!(flood.take(), None);
        assert!(!flood.hides(at + WINDOW_NS, &fork), "a new second");
    }
}

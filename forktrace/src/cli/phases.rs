//! How long the phases of a trace take, said with `--verbose`.

use std::time::{Duration, Instant};

use super::failure::say;

/// Measures from one phase to the next.
pub(super) struct Phases {
    told: bool,
    since: Instant,
}

impl Phases {
    /// The first phase begins. `told`: each is said.
    pub(super) fn begin(told: bool) -> Self {
        Phases { told, since: Instant::now() }
    }

    /// A phase is over, and the next one begins. `what`: what was done in it.
    pub(super) fn passed(&mut self, what: &str) {
        let took = self.since.elapsed();
        self.since = Instant::now();
        if self.told {
            say(&format!("{what} in {}", milliseconds(took)));
        }
    }

    /// The next phase begins, and what was before it is not said.
    pub(super) fn skip(&mut self) {
        self.since = Instant::now();
    }
}

fn milliseconds(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_phases_are_not_rounded_away() {
        assert_eq!(milliseconds(Duration::from_micros(1_240)), "1.2 ms");
        assert_eq!(milliseconds(Duration::from_millis(72)), "72.0 ms");
    }
}

//! The command that is traced, if there is one.

use std::time::Duration;

use tokio::time::Instant;

use crate::kernel::{Outcome, RunningChild};

/// How long a command may take to end after a signal that was for it too, and how long after its end
/// it is not said yet that it left others behind.
pub(super) const FAREWELL: Duration = Duration::from_secs(1);

/// A command and how it ended.
#[derive(Default)]
pub(super) struct Command {
    child: Option<RunningChild>,
    outcome: Option<Outcome>,
    /// When its end was seen, until it is known whether it left others behind.
    left_at: Option<Instant>,
}

impl Command {
    pub(super) fn set(&mut self, child: RunningChild) {
        self.child = Some(child);
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.map(RunningChild::pid)
    }

    /// How it has ended, if it has.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome.or_else(|| self.child.and_then(RunningChild::try_wait))
    }

    /// Notes its end.
    pub(super) fn check(&mut self) {
        if let (Some(child), None) = (self.child, self.outcome) {
            self.outcome = child.try_wait();
            self.left_at = self.outcome.map(|_| Instant::now());
        }
    }

    /// Whether it was not seen to end.
    pub(super) fn runs(&self) -> bool {
        self.child.is_some() && self.outcome.is_none()
    }

    /// How it ended, once and when it is time to say what it left behind.
    pub(super) fn left(&mut self) -> Option<Outcome> {
        self.left_at.take_if(|at| at.elapsed() >= FAREWELL)?;
        self.outcome
    }
}

//! The command that is traced, if there is one.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::kernel::{End, Outcome, RunningChild};

/// How often it is asked whether the command runs, where the kernel does not tell its end.
const ASK_AGAIN: Duration = Duration::from_millis(100);

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
    /// Tells when it ends, where the kernel can.
    end: Option<End>,
}

impl Command {
    pub(super) fn set(&mut self, child: RunningChild) {
        self.child = Some(child);
        self.end = child.end();
    }

    /// Waits until the command has ended, and notes that; never comes back without one that runs.
    /// Cancel-safe.
    pub(super) async fn ended(&mut self) {
        let known = !self.runs();
        while self.runs() {
            if let Some(end) = &self.end {
                end.comes().await;
                self.check();
            }
            if self.runs() {
                sleep(ASK_AGAIN).await;
                self.check();
            }
        }
        if known {
            std::future::pending().await
        }
    }

    /// Whether it is still to be said what it left behind.
    pub(super) fn is_leaving(&self) -> bool {
        self.left_at.is_some()
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

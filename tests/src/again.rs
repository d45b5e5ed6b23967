//! Tests that fail are done once more where that is fair, and what was done again is told at the end.
//!
//! Six tests run at once on a machine that may have two processors, and the collector that they test is
//! a guest on it: what it samples can come too late. A test that fails beside others is therefore done
//! once more, alone. A false alarm is not: no load excuses a wrong word.

use std::{
    fmt,
    sync::{Mutex, PoisonError, RwLock},
};

use anyhow::{Error, Result};

/// Something was said that is wrong.
#[derive(Debug)]
pub struct FalseAlarm(String);

impl FalseAlarm {
    /// The error of a test in which something wrong was said, with what was said.
    pub fn error(said: impl Into<String>) -> Error {
        Self(said.into()).into()
    }
}

impl fmt::Display for FalseAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a false alarm: {}", self.0)
    }
}

impl std::error::Error for FalseAlarm {}

/// Read by each test that runs beside others, written by one that runs alone.
static TURN: RwLock<()> = RwLock::new(());
static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps a line about a test that was done again, for the end of the run: among the results it would be
/// taken for one.
pub(crate) fn tell(line: String) {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

/// The lines about tests that were done again.
pub(crate) fn told() -> Vec<String> {
    TOLD.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Does a test beside others, and once more alone if it fails without a [`FalseAlarm`].
pub(crate) fn alone_if_it_fails(name: &str, test: impl Fn() -> Result<()>) -> Result<()> {
    let beside = {
        let _others = TURN.read().unwrap_or_else(PoisonError::into_inner);
        test()
    };
    let Err(error) = beside else { return Ok(()) };
    if error.downcast_ref::<FalseAlarm>().is_some() {
        tell(format!("{name} failed: {}", first_line(&error)));
        return Err(error);
    }
    let _alone = TURN.write().unwrap_or_else(PoisonError::into_inner);
    let ended = test();
    let how = if ended.is_ok() { "passed" } else { "failed too" };
    let why = first_line(&error);
    tell(format!("{name} failed beside other tests ({why}), and alone it {how}"));
    ended
}

/// What is said of an error in a line of its own; whole, it stands with the test's result.
fn first_line(error: &Error) -> String {
    const MOST: usize = 160;
    format!("{error:#}").lines().next().unwrap_or_default().chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::anyhow;

    use super::*;

    /// How often a test is done that fails with an error until its time `good`, and whether it passes.
    fn done(error: fn() -> Error, good: u32) -> (u32, bool) {
        let done = Cell::new(0);
        let result = alone_if_it_fails("a test", || {
            done.set(done.get() + 1);
            if done.get() == good { Ok(()) } else { Err(error().context("what was said")) }
        });
        (done.get(), result.is_ok())
    }

    #[test]
    fn a_test_that_fails_is_done_once_more() {
        assert_eq!(done(|| anyhow!("too late"), 1), (1, true));
        assert_eq!(done(|| anyhow!("too late"), 2), (2, true));
        assert_eq!(done(|| anyhow!("too late"), 3), (2, false));
    }

    #[test]
    fn a_false_alarm_is_final() {
        assert_eq!(done(|| FalseAlarm::error("a hang"), 2), (1, false));
    }
}

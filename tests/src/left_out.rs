//! Runs of programs that the kernel has left out, which no tracer can prevent: it can only count them.
//!
//! Linux 7.0 and later preempt their own code on every machine. Whoever is preempted inside of a map
//! leaves the CPU to tasks of which no program on a tracepoint sees anything (`bpf_prog_active`,
//! `kernel/trace/bpf_trace.c`). forktrace's own threads are not preempted there by ordinary tasks, but
//! others on the machine are, and the tracer tells of every run that was left out. A test that wants
//! all events is therefore done once more on such a kernel if that, and nothing else, was lost.

use std::fmt;

use anyhow::{Context as _, Error, Result, ensure};
use serde_json::Value;

use crate::{
    again,
    log::{Log, number},
};

/// How often a test is done at most.
const TIMES: u32 = 3;
/// More than these were not left out by chance.
const FEW: u64 = 16;
/// The first series in which every kernel preempts its own code.
const SINCE: u64 = 7;

/// A few runs were skipped, all of them were reported, and nothing else was lost.
#[derive(Debug)]
struct LeftOut(u64);

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel left out {} runs of programs", self.0)
    }
}

impl std::error::Error for LeftOut {}

/// What is wrong with a log that tells of a loss.
pub(crate) fn loss(log: &Log, told: &Value) -> Error {
    match of_a_few_runs(log) {
        Ok(count) if can_happen() => LeftOut(count).into(),
        _ => Error::msg(format!("events were lost: {told}")),
    }
}

/// How many runs were left out, if they are few, all that was lost, and told in each place.
fn of_a_few_runs(log: &Log) -> Result<u64> {
    let mut all = 0;
    for line in log.of("events.lost") {
        let kinds = line.pointer("/by_kind").and_then(Value::as_object).context("no kinds")?;
        ensure!(kinds.keys().all(|kind| kind == "not_run"), "other kinds");
        let count = number(line, "/count").context("no count")?;
        ensure!(number(line, "/by_kind/not_run") == Some(count), "another count");
        all += count;
    }
    let end = log.of("trace.end").next().context("no end")?;
    ensure!(number(end, "/lost") == Some(all) && all <= FEW, "{end}");
    Ok(all)
}

fn can_happen() -> bool {
    let release = nix::sys::utsname::uname().ok();
    let release = release.and_then(|name| name.release().to_str().map(str::to_owned));
    let series = release.as_deref().and_then(|release| release.split('.').next()?.parse().ok());
    series.is_some_and(|series: u64| series >= SINCE)
}

/// Does a test, and again if runs were left out.
pub(crate) fn again_if_left_out(name: &str, test: impl Fn() -> Result<()>) -> Result<()> {
    for _ in 1..TIMES {
        let ended = test();
        match ended.as_ref().err().and_then(|error| error.downcast_ref::<LeftOut>()) {
            Some(left_out) => {
                again::tell(format!("{name} was done again: {left_out}, and that was told"));
            }
            None => return ended,
        }
    }
    test()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::cell::Cell;

    use anyhow::anyhow;

    use super::*;

    fn log(lines: &[&str]) -> Log {
        Log::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn only_a_few_runs_that_are_told_at_the_end_too_are_left_out() {
        let lost = r#"{"type":"events.lost","count":3,"by_kind":{"not_run":3}}"#;
        let mixed = r#"{"type":"events.lost","count":3,"by_kind":{"not_run":2,"fork":1}}"#;
        let many = r#"{"type":"events.lost","count":30,"by_kind":{"not_run":30}}"#;
        let end = |count| format!(r#"{{"type":"trace.end","lost":{count}}}"#);
        let of = |line, count| of_a_few_runs(&log(&[line, &end(count)])).ok();
        assert_eq!(of(lost, 3), Some(3));
        assert_eq!(of(lost, 2), None);
        assert_eq!(of(mixed, 3), None);
        assert_eq!(of(many, 30), None);
        assert_eq!(of_a_few_runs(&log(&[lost])).ok(), None);
    }

    #[test]
    fn a_test_is_done_again_for_that_and_for_nothing_else() {
        let times = |error: fn() -> Error, good: u32| {
            let done = Cell::new(0);
            let result = again_if_left_out("a test", || {
                done.set(done.get() + 1);
                if done.get() == good { Ok(()) } else { Err(error().context("what was said")) }
            });
            (done.get(), result.is_ok())
        };
        assert_eq!(times(|| LeftOut(2).into(), 2), (2, true));
        assert_eq!(times(|| LeftOut(2).into(), 9), (TIMES, false));
        assert_eq!(times(|| anyhow!("another fault"), 2), (1, false));
    }
}

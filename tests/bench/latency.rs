//! How long after a block a finding is printed.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{forktrace, log::number, workload};
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;

use crate::{outcome::Fact, stats::quantile};

/// How long a wait must last to be judged (`--min-wait`), ns.
const DWELL_NS: u64 = 1_000_000_000;

/// Reads the events as they come: each finding against the entry of its wait into the kernel.
pub(crate) fn measure(quick: bool) -> Result<Vec<Fact>> {
    let count = if quick { 5 } else { 50_usize };
    let hangs = workload::command("bench/hangs.c", &[&count.to_string(), "137"])?;
    let mut tracer = Command::new(forktrace()?)
        .args(["--json", "--min-wait", "1s", "--"])
        .args(hangs)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let lines = BufReader::new(tracer.stdout.take().context("no output")?).lines();
    let mut entered = BTreeMap::new();
    let mut found = BTreeMap::new();
    for line in lines {
        let line = line?;
        let now = boot_ns()?;
        let line: Value = serde_json::from_str(&line)?;
        let Some(tid) = number(&line, "/tid") else { continue };
        match line.get("type").and_then(Value::as_str) {
            Some("evidence") => {
                entered.insert(tid, number(&line, "/wait/enter_ns").context("no begin")?);
            }
            Some("finding") => {
                found.entry(tid).or_insert(now);
            }
            _ => {}
        }
    }
    ensure!(tracer.wait()?.success(), "forktrace failed");
    let mut milliseconds: Vec<f64> = found
        .iter()
        .filter_map(|(tid, now)| {
            Some(now.saturating_sub(entered.get(tid)? + DWELL_NS) as f64 / 1e6)
        })
        .collect();
    milliseconds.sort_by(f64::total_cmp);
    let at = |part| quantile(&milliseconds, part).unwrap_or_default();
    Ok(vec![
        Fact::new("children that hang", count as f64, ""),
        Fact::new("found", milliseconds.len() as f64, ""),
        Fact::new("p50", at(0.5), "ms"),
        Fact::new("p99", at(0.99), "ms"),
        Fact::new("most", at(1.0), "ms"),
    ])
}

fn boot_ns() -> Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec())?, u64::try_from(now.tv_nsec())?);
    Ok(seconds * 1_000_000_000 + nanoseconds)
}

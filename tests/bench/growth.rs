//! Time and memory of `forktrace report` as its work grows.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use forktrace_tests::forktrace;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeVal,
};

use crate::{outcome::Fact, watch::Watch};

/// Children alive at a time.
const ALIVE: u64 = 32;
/// Numbers are used again from here on, as the kernel does.
const NUMBERS: u64 = 30_000;

/// Over logs of forks and ends, ten times as many each.
pub(crate) fn measure(quick: bool) -> Result<Vec<Fact>> {
    let powers = if quick { 3..=5 } else { 4..=7 };
    let mut facts = Vec::new();
    for events in powers.map(|power| 10_u64.pow(power)) {
        let file =
            tempfile::Builder::new().prefix("forktrace-bench-").suffix(".jsonl").tempfile()?;
        write(file.as_file(), events)?;
        let measured = report(file.path())?;
        let named =
            |fact: Fact| Fact { name: format!("{events:>8} events: {}", fact.name), ..fact };
        let cpu = measured.get(1).map(|fact| fact.value).unwrap_or_default();
        facts.extend(measured.into_iter().map(named));
        facts.push(Fact::new(
            format!("{events:>8} events: CPU time an event"),
            cpu * 1e6 / events as f64,
            "µs",
        ));
    }
    Ok(facts)
}

/// One report, without its output.
pub(crate) fn report(log: &Path) -> Result<Vec<Fact>> {
    let (begin, before) = (Instant::now(), children_cpu()?);
    let mut child = Command::new(forktrace()?)
        .args(["report", "-q"])
        .arg(log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let watch = Watch::start(child.id(), Duration::from_millis(2));
    let status = child.wait()?;
    let seconds = begin.elapsed().as_secs_f64();
    let peak = watch.stop().last().map_or(0.0, |usage| usage.peak_mib);
    ensure!(status.success(), "forktrace report failed: {status}");
    Ok(vec![
        Fact::new("time of the report", seconds, "s"),
        Fact::new("CPU time of the report", children_cpu()? - before, "s"),
        Fact::new("memory of the report at its peak", peak, "MiB"),
    ])
}

/// What children that were waited for have used, s.
fn children_cpu() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}

/// A log of one process that forks, [`ALIVE`] children at a time.
fn write(file: &File, events: u64) -> Result<()> {
    const START: &str = r#""boot_ns":1000,"version":"0.1.0","command":["forktrace"],"kernel":"6.18.44","boot_id":"b66d7b77-545f-4c66-8729-d559534d305a","clock_offset_ns":"1795554350072571268","min_wait_ns":1000000000,"filter":"the command and its children","snapshots":true,"offsets":{}"#;
    const ROOT: &str = r#""boot_ns":2000,"pid":2,"tid":2,"comm":"parent","proc_uid":"b66d7b77-2-2000","ppid":1,"start_ns":2000,"exe":null,"ns_pid":null,"threads":[{"tid":2,"comm":"parent"}],"resync":false,"read_ns":2001,"command":true"#;
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let mut seq = 0;
    let mut line = |kind: &str, rest: &str| {
        seq += 1;
        let time = r#""ts":"2026-11-24T23:09:49.375336384Z""#;
        writeln!(out, r#"{{"schema":1,"type":"{kind}","seq":{seq},{time},{rest}}}"#)
    };
    line("trace.start", START)?;
    line("process.snapshot", ROOT)?;
    let children = (events / 2).max(ALIVE);
    for turn in 0..children + ALIVE {
        let at = 10_000 + turn * 10_000;
        if let Some(done) = turn.checked_sub(ALIVE) {
            let (pid, began) = (number(done), 10_000 + done * 10_000);
            let task = format!(r#""pid":{pid},"tid":{pid},"comm":"parent""#);
            let uids = format!(
                r#""proc_uid":"b66d7b77-{pid}-{began}","ppid":2,"parent_uid":"b66d7b77-2-2000""#
            );
            line("process.exit", &format!(r#""boot_ns":{at},{task},{uids}"#))?;
        }
        if turn < children {
            let task = r#""pid":2,"tid":2,"comm":"parent","proc_uid":"b66d7b77-2-2000","ppid":1"#;
            let child = number(turn);
            let fork = format!(r#""child_pid":{child},"clone_flags":"0x1200000""#);
            line("process.fork", &format!(r#""boot_ns":{at},{task},{fork}"#))?;
        }
    }
    let end = 10_000 + (children + ALIVE) * 10_000;
    let counters = r#""counters":{},"lost":0"#;
    line("trace.end", &format!(r#""boot_ns":{end},"reason":"targets ended",{counters}"#))?;
    Ok(out.flush()?)
}

/// The number of a child.
fn number(child: u64) -> u64 {
    1000 + child % NUMBERS
}

//! Runs at scale: many forks, a ring that is too small, many processes and threads, storms.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    run::{Ended, Job},
    workload::{self, Facts},
};
use nix::sys::signal::Signal;

use crate::{
    growth, latency,
    outcome::Fact,
    watch::{Usage, Watch, thinned},
};

/// One run.
pub(crate) struct Run {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// What it measures.
    pub(crate) about: &'static str,
    /// Measures it; true: in small.
    pub(crate) measure: fn(bool) -> Result<Vec<Fact>>,
}

/// All of them.
pub(crate) static RUNS: &[Run] = &[
    Run {
        name: "scale-forks",
        about: "1,000,000 forks in one trace: losses, memory as it grows, the tree",
        measure: forks,
    },
    Run {
        name: "scale-losses",
        about: "a ring of 64 KiB that overflows: every loss counted",
        measure: losses,
    },
    Run {
        name: "scale-attach",
        about: "-a on a host with 20,000 processes and as many threads as it has numbers left",
        measure: attach,
    },
    Run {
        name: "scale-waiters",
        about: "5,000 futex waiters blocked at once in one child",
        measure: |quick| waiters(if quick { 500 } else { 5_000 }),
    },
    Run {
        name: "scale-threads",
        about: "one process with 10,000 threads, all blocked",
        measure: |quick| waiters(if quick { 1_000 } else { 10_000 }),
    },
    Run {
        name: "scale-storm",
        about: "all CPUs fight for futexes under -a for a minute: forktrace's own use",
        measure: storm,
    },
    Run {
        name: "scale-latency",
        about: "from the block to the printed finding, without the second it must last",
        measure: latency::measure,
    },
    Run {
        name: "scale-report",
        about: "forktrace report on logs of 10⁴ to 10⁷ events",
        measure: growth::measure,
    },
];

const SECOND: Duration = Duration::from_secs(1);
/// The longest that a run may take before it counts as stuck.
const LIMIT: Duration = Duration::from_secs(1800);

fn forks(quick: bool) -> Result<Vec<Fact>> {
    let count = if quick { 20_000 } else { 1_000_000_u64 };
    let command = workload::command("quick_forks.c", &[&count.to_string()])?;
    let options = ["-q", "-o", "{log}", "--"].map(str::to_owned);
    let begin = Instant::now();
    let job = Job::forktrace(&[options.to_vec(), command].concat())?;
    let watch = Watch::start(job.pid(), if quick { SECOND / 10 } else { SECOND });
    let ended = job.wait(LIMIT)?;
    let (seconds, samples) = (begin.elapsed().as_secs_f64(), watch.stop());
    ended.expect_code(0)?;
    let told = Facts::read(&ended.stdout);
    let seen = Seen::read(&ended.log())?;
    let missing = told.one("forks")?.saturating_sub(seen.forks);
    let mut facts = vec![
        Fact::new("forks", count as f64, ""),
        Fact::new("time", seconds, "s"),
        Fact::new("events lost", seen.lost as f64, ""),
        Fact::new("children missing from the log", missing as f64, ""),
        Fact::new("children whose end is missing", seen.without_end(1) as f64, ""),
        Fact::new(
            "sum of the children's pids is right",
            flag(told.one("pidsum")? == seen.pid_sum),
            "",
        ),
        Fact::new("log", fs::metadata(ended.log())?.len() as f64 / 1e6, "MB"),
    ];
    facts.extend(usage(&samples));
    facts.extend(curve(&samples));
    facts.extend(growth::report(&ended.log())?);
    Ok(facts)
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

/// CPU and memory in all.
pub(crate) fn usage(samples: &[Usage]) -> Vec<Fact> {
    let Some(last) = samples.last() else { return Vec::new() };
    vec![
        Fact::new("forktrace's CPU time", last.cpu, "s"),
        Fact::new("forktrace's memory at its peak", last.peak_mib, "MiB"),
    ]
}

fn curve(samples: &[Usage]) -> Vec<Fact> {
    let point =
        |usage: Usage| Fact::new(format!("memory after {:.0} s", usage.at), usage.mib, "MiB");
    thinned(samples, 10).into_iter().map(point).collect()
}

/// What a log says of forks and ends, without the whole of it in memory.
#[derive(Debug, Default)]
struct Seen {
    forks: u64,
    exits: u64,
    pid_sum: u64,
    /// By the lines `events.lost`.
    told: u64,
    /// By kind, forks and exits.
    told_forks: u64,
    told_exits: u64,
    /// By the last line.
    lost: u64,
    healed: u64,
}

impl Seen {
    fn read(path: &Path) -> Result<Self> {
        Seen::of(BufReader::new(File::open(path)?))
    }

    fn of(log: impl BufRead) -> Result<Self> {
        let mut seen = Seen::default();
        for line in log.lines() {
            let line = line?;
            let field = |name: &str| after(&line, &format!("\"{name}\":"));
            let kind = line.split("\"type\":\"").nth(1).and_then(|rest| rest.split('"').next());
            match kind.unwrap_or_default() {
                "process.fork" => {
                    seen.forks += 1;
                    seen.pid_sum += field("child_pid").unwrap_or_default();
                }
                "process.exit" => seen.exits += 1,
                "events.lost" => {
                    seen.told += field("count").unwrap_or_default();
                    seen.told_forks += field("fork").unwrap_or_default();
                    seen.told_exits += field("exit").unwrap_or_default();
                }
                "trace.resync" => seen.healed += 1,
                "trace.end" => seen.lost = field("lost").context("trace.end without a loss")?,
                _ => {}
            }
        }
        Ok(seen)
    }

    /// How many ends are missing when `others` processes were no children of the workload.
    fn without_end(&self, others: u64) -> u64 {
        (self.forks + others).saturating_sub(self.exits)
    }
}

/// The number that follows a text.
fn after(line: &str, text: &str) -> Option<u64> {
    let rest = &line[line.find(text)? + text.len()..];
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// forktrace is held up for a moment too, so that something is lost on a fast machine.
fn losses(quick: bool) -> Result<Vec<Fact>> {
    let count = if quick { 20_000 } else { 200_000_u64 };
    let command = workload::command("quick_forks.c", &[&count.to_string()])?;
    let options = ["-q", "--ring-size", "64K", "-o", "{log}", "--"].map(str::to_owned);
    let mut job = Job::forktrace(&[options.to_vec(), command].concat())?;
    job.until("forks", LIMIT, |job| job.log_text().contains("process.fork"))?;
    job.signal(Signal::SIGSTOP)?;
    sleep(SECOND / 2);
    job.signal(Signal::SIGCONT)?;
    let ended = job.wait(LIMIT)?;
    ended.expect_code(0)?;
    let seen = Seen::read(&ended.log())?;
    ensure!(seen.lost > 0, "nothing was lost: nothing was measured");
    // Each child, and the command itself.
    let wrong_forks = count.abs_diff(seen.forks + seen.told_forks);
    let wrong_exits = (count + 1).abs_diff(seen.exits + seen.told_exits);
    Ok(vec![
        Fact::new("forks", count as f64, ""),
        Fact::new("events lost", seen.lost as f64, ""),
        Fact::new("of these told in the log, where they are missing", seen.told as f64, ""),
        Fact::new("forks neither seen nor counted as lost", wrong_forks as f64, ""),
        Fact::new("ends neither seen nor counted as lost", wrong_exits as f64, ""),
        Fact::new("times that the tree was healed", seen.healed as f64, ""),
        Fact::new("summary says that it is incomplete", flag(says_incomplete(&ended)), ""),
    ])
}

fn says_incomplete(ended: &Ended) -> bool {
    ended.stdout.contains("this result is incomplete")
}

/// A crowd that lives until it is dropped.
pub(crate) fn crowd(processes: u64, threads: u64, kind: &str) -> Result<Job> {
    let args = [processes.to_string(), threads.to_string()];
    let command = workload::command("bench/crowd.c", &[&args[0], &args[1], kind])?;
    let mut job = Job::start(&command, &[])?;
    job.until("all there", LIMIT, |job| job.stdout().contains("crowd="))?;
    Ok(job)
}

/// Task numbers that are left for others.
const SPARE: u64 = 4_000;

fn attach(quick: bool) -> Result<Vec<Fact>> {
    let text = |path: &str| fs::read_to_string(path).with_context(|| path.to_owned());
    let limit: u64 = text("/proc/sys/kernel/pid_max")?.trim().parse()?;
    let load = text("/proc/loadavg")?;
    let used = load.split(['/', ' ']).nth(4).and_then(|all| all.parse::<u64>().ok());
    let free = limit.saturating_sub(used.context("no number of tasks")? + SPARE);
    let processes = free.min(if quick { 1_000 } else { 20_000 });
    let threads = (free - processes).min(if quick { 1_000 } else { 50_000 });
    let (many, each) = (threads / 100, 100);
    let crowds = [crowd(processes, 0, "sleep")?, crowd(many, each, "sleep")?];
    let alive = fs::read_dir("/proc")?.flatten();
    let alive = alive.filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok());
    let alive = alive.count() as f64;
    let begin = Instant::now();
    let mut job = Job::forktrace(&["-q", "-a", "-o", "{log}"])?;
    // Its own processes, and those of the machine that come and go, apart.
    let enough = processes + many;
    job.until("everybody recorded", LIMIT, |job| snapshots(&job.log_text()) >= enough)?;
    let seconds = begin.elapsed().as_secs_f64();
    let attached = Usage::of(job.pid()).context("forktrace has ended")?;
    sleep(SECOND * if quick { 2 } else { 20 });
    let later = Usage::of(job.pid()).context("forktrace has ended")?;
    job.signal(Signal::SIGTERM)?;
    let begin = Instant::now();
    job.wait(LIMIT)?.expect_code(0)?;
    let stopping = begin.elapsed().as_secs_f64();
    for mut crowd in crowds {
        crowd.tell()?;
        crowd.wait(LIMIT)?;
    }
    Ok(vec![
        Fact::new("processes alive", alive, ""),
        Fact::new("threads besides (pid_max limits both)", (many * each) as f64, ""),
        Fact::new("until all are recorded", seconds, "s"),
        Fact::new("forktrace's CPU time until then", attached.cpu, "s"),
        Fact::new("forktrace's CPU time in the time after", later.cpu - attached.cpu, "s"),
        Fact::new("forktrace's memory at its peak", later.peak_mib, "MiB"),
        Fact::new("until it has ended", stopping, "s"),
    ])
}

fn snapshots(log: &str) -> u64 {
    log.matches("\"type\":\"process.snapshot\"").count() as u64
}

/// A child whose threads all wait, as an idle pool does: nothing may be said, and the price must not
/// be that of looking at every thread for every thread.
fn waiters(threads: u64) -> Result<Vec<Fact>> {
    let command = workload::command("bench/crowd.c", &["1", &threads.to_string(), "futex"])?;
    let options = ["-q", "-o", "{log}", "--"].map(str::to_owned);
    let begin = Instant::now();
    let mut job = Job::forktrace(&[options.to_vec(), command].concat())?;
    let watch = Watch::start(job.pid(), SECOND / 4);
    let waits = |job: &Job| job.log_text().matches("\"type\":\"futex.wait\"").count() as u64;
    job.until("all seen to wait", LIMIT, |job| waits(job) >= threads)?;
    let seen = begin.elapsed().as_secs_f64();
    let before = Usage::of(job.pid()).context("forktrace has ended")?;
    sleep(SECOND * 30);
    let after = Usage::of(job.pid()).context("forktrace has ended")?;
    let looks = job.log_text().matches("\"type\":\"evidence\"").count();
    job.tell()?;
    let ended = job.wait(LIMIT)?;
    let samples = watch.stop();
    let found = ended.stdout.matches("HANG").count();
    let mut facts = vec![
        Fact::new("threads that wait", threads as f64, ""),
        Fact::new("until all were seen to wait (a second at least)", seen, "s"),
        Fact::new("looks at them half a minute later", looks as f64, ""),
        Fact::new("forktrace's CPU in that time", (after.cpu - before.cpu) / 30.0 * 100.0, "%"),
        Fact::new("findings (none is right)", found as f64, ""),
        Fact::new("log", fs::metadata(ended.log())?.len() as f64 / 1e6, "MB"),
    ];
    facts.extend(usage(&samples));
    Ok(facts)
}

fn storm(quick: bool) -> Result<Vec<Fact>> {
    let seconds: u32 = if quick { 6 } else { 60 };
    let threads = std::thread::available_parallelism()?.get() * 4;
    let mut tracer = Job::forktrace(&["-q", "-a", "-o", "{log}"])?;
    tracer.until("at work", LIMIT, |job| job.log_text().contains("process.snapshot"))?;
    sleep(SECOND);
    let args = [threads.to_string(), seconds.to_string()];
    let storm = Job::start(&workload::command("futex_storm.c", &[&args[0], &args[1]])?, &[])?;
    let watch = Watch::start(tracer.pid(), SECOND * seconds / 6);
    storm.wait(LIMIT)?.expect_code(0)?;
    let samples = watch.stop();
    tracer.signal(Signal::SIGTERM)?;
    let ended = tracer.wait(LIMIT)?;
    ended.expect_code(0)?;
    let seen = Seen::read(&ended.log())?;
    let mut facts = vec![
        Fact::new("threads in each of two processes", threads as f64, ""),
        Fact::new("events lost", seen.lost as f64, ""),
    ];
    for pair in samples.windows(2) {
        let [before, after] = pair else { continue };
        let cpu = (after.cpu - before.cpu) / (after.at - before.at) * 100.0;
        facts.push(Fact::new(format!("forktrace's CPU up to {:.0} s", after.at), cpu, "%"));
        facts.push(Fact::new(format!("memory after {:.0} s", after.at), after.mib, "MiB"));
    }
    let end = fs::read_to_string(ended.log())?;
    let end = end.lines().last().unwrap_or_default();
    for name in ["futex_waits", "futex_wakes"] {
        let count = after(end, &format!("\"{name}\":")).unwrap_or_default();
        facts.push(Fact::new(format!("{name} of the host meanwhile"), count as f64, ""));
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_log_is_summed_up_by_its_lines() {
        let log = r#"{"schema":1,"type":"process.fork","seq":2,"pid":7,"child_pid":30,"clone_flags":"0x0"}
{"schema":1,"type":"process.fork","seq":3,"pid":7,"child_pid":12,"clone_flags":"0x0"}
{"schema":1,"type":"events.lost","seq":4,"count":5,"by_kind":{"exit":2,"fork":3}}
{"schema":1,"type":"process.exit","seq":5,"pid":30,"tid":30}
{"schema":1,"type":"trace.end","seq":6,"counters":{"futex_waits":9},"lost":5}"#;
        let seen = Seen::of(log.as_bytes()).unwrap();
        assert_eq!((seen.forks, seen.exits, seen.pid_sum), (2, 1, 42));
        assert_eq!((seen.told, seen.told_forks, seen.told_exits, seen.lost), (5, 3, 2, 5));
        assert_eq!(seen.without_end(1), 2);
        assert_eq!(after(log, "\"futex_waits\":"), Some(9));
    }
}

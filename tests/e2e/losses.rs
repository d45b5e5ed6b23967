//! Events lost on purpose: counted to the last one and by kind, said aloud, the tree healed, and
//! whatever is found then counts less.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need, forktrace,
    log::{Log, number},
    run::{ALL_CLEAR, Ended, Job, one_line},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(15);
/// How long the tracer is held up while a load goes on.
const STOPPED: Duration = Duration::from_secs(5);
/// The smallest ring.
const TINY: &[&str] = &["--ring-size", "4K"];
/// A ring that holds all that is made meanwhile.
const LARGE: &[&str] = &["--ring-size", "64M"];

/// Something that is done many times, and which lines and losses that makes.
struct Storm {
    /// See `storm.c`.
    what: &'static str,
    /// Each: type of the lines, those of them that count, kind of the losses, and how many more
    /// there are than the storm makes.
    made: &'static [Made],
}

type Made = (&'static str, fn(&Value) -> bool, &'static str, u64);

const ANY: fn(&Value) -> bool = |_| true;
const BEGUN: fn(&Value) -> bool = |line| line.get("result").is_none_or(Value::is_null);
const RETURNED: fn(&Value) -> bool = |line| !BEGUN(line);

static STORMS: &[Storm] = &[
    // With the program's own end, and its own exec.
    Storm {
        what: "fork",
        made: &[("process.fork", ANY, "fork", 0), ("process.exit", ANY, "exit", 1)],
    },
    Storm { what: "thread", made: &[("thread.start", ANY, "fork", 0)] },
    Storm { what: "exec", made: &[("process.exec", ANY, "exec", 1)] },
    Storm { what: "chain", made: &[("process.exec", ANY, "exec", 1)] },
    Storm {
        what: "wait",
        made: &[("futex.wait", BEGUN, "wait_begin", 0), ("futex.wait", RETURNED, "wait_end", 0)],
    },
    Storm { what: "wake", made: &[("futex.wake", ANY, "wake", 0)] },
];

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc];
    let of = |storm: &'static Storm| {
        let lossy = format!("bad_day_lost_events_are_counted_{}", storm.what);
        let whole = format!("bad_day_storm_is_seen_whole_{}", storm.what);
        [
            trial(lossy, &needs, || counted(storm, true)),
            trial(whole, &needs, || counted(storm, false)),
        ]
    };
    let mut trials: Vec<Trial> = STORMS.iter().flat_map(of).collect();
    trials.extend([
        trial("pages_of_ended_children_make_room", &needs, room),
        trial("bad_day_beside_a_profiler", &needs, profiled),
        trial("bad_day_stopped_collector_loses_nothing_that_fits", &needs, || stopped(LARGE)),
        trial("bad_day_stopped_collector_finds_what_it_missed", &needs, || stopped(TINY)),
    ]);
    trials
}

/// Starts a tracer whose command waits for a line.
fn tracer(options: &[&str], command: &[String]) -> Result<Job> {
    let mut line = vec![forktrace()?.display().to_string()];
    line.extend(options.iter().map(|&option| option.to_owned()));
    line.extend(["-o", "{log}", "--"].map(str::to_owned));
    line.extend_from_slice(command);
    let mut job = Job::start(&line, &[("WORKLOAD_WAITS", "1")])?;
    job.until("ready", START, |job| job.stdout().contains("ready="))?;
    Ok(job)
}

/// What was seen and what was lost add up to what the storm says of itself.
fn counted(storm: &Storm, lossy: bool) -> Result<()> {
    let command = workload::command("storm.c", &[storm.what, "1000"])?;
    let ring = if lossy { TINY } else { LARGE };
    let mut job = tracer(&[ring, &["--events", "all"]].concat(), &command)?;
    if lossy {
        job.signal(Signal::SIGSTOP)?;
    }
    job.tell()?;
    job.until("over", LIMIT, |job| job.stdout().contains("count="))?;
    if lossy {
        job.signal(Signal::SIGCONT)?;
    }
    let ended = job.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let log = Log::read(&ended.log())?;
        let lost = lost_by_kind(&log)?;
        ensure!(lossy == (lost("") > 0), "{} lost: the test did not test", lost(""));
        let count = Facts::read(&ended.stdout).one("count")?;
        for (line, counts, kind, more) in storm.made {
            let seen = seen(&log, line, *counts);
            let (lost, made) = (lost(kind), count + more);
            ensure!(seen + lost == made, "{line}: {seen} seen, {lost} lost, {made} made");
        }
        if lossy {
            incomplete(&ended)?;
        }
        let all_ended = log.of("trace.end").any(|line| line["reason"] == "targets ended");
        ensure!(all_ended, "processes whose end was lost are still taken for alive");
        Ok(())
    };
    judge().with_context(|| ended.said())
}

/// The faults of a profiler that walks stacks are nothing that could be missed.
fn profiled() -> Result<()> {
    let mut command = ["-q", "-o", "{log}", "--"].map(str::to_owned).to_vec();
    command.extend(workload::command("profiled_forks.c", &["4000"])?);
    let ended = Job::forktrace(&command)?.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let (log, facts) = (Log::read(&ended.log())?, Facts::read(&ended.stdout));
        ensure!(facts.one("sampled")? > 0, "nothing was profiled");
        let lost = lost_by_kind(&log)?("");
        ensure!(lost == 0, "{lost} events are said to be lost");
        let seen = log.children();
        ensure!(seen.len() as u64 == facts.one("forks")?, "{} forks were seen", seen.len());
        ensure!(seen.iter().sum::<u64>() == facts.one("pidsum")?, "not those that were forked");
        Ok(())
    };
    judge().with_context(|| ended.said())
}

/// How many lines of a type count. Where the kernel does not say which thread is a process's last, it is
/// the end of the only one.
fn seen(log: &Log, kind: &str, counts: fn(&Value) -> bool) -> u64 {
    let of_threads = || log.of("thread.exit").filter(|line| line["group_dead"].is_null()).count();
    let of_its_own = log.of(kind).filter(|line| counts(line)).count();
    let seen = if kind == "process.exit" { of_its_own.max(of_threads()) } else { of_its_own };
    seen as u64
}

/// Losses by kind; of all kinds for an empty name. Fails unless they add up to the total.
fn lost_by_kind(log: &Log) -> Result<impl Fn(&str) -> u64> {
    let losses: Vec<&Value> = log.of("events.lost").collect();
    let of = |line: &Value, kind: &str| number(line, &format!("/by_kind/{kind}")).unwrap_or(0);
    for line in &losses {
        let kinds = line.get("by_kind").and_then(Value::as_object).context("no kinds")?;
        let sum: u64 = kinds.keys().map(|kind| of(line, kind)).sum();
        ensure!(number(line, "/count") == Some(sum), "the kinds do not add up: {line}");
    }
    let told: u64 = losses.iter().filter_map(|line| number(line, "/count")).sum();
    let total = log.of("trace.end").find_map(|line| number(line, "/lost")).unwrap_or(0);
    ensure!(told == total, "{told} lost events were told, {total} were counted");
    let losses: Vec<Value> = losses.into_iter().cloned().collect();
    Ok(move |kind: &str| match kind {
        "" => total,
        kind => losses.iter().map(|line| of(line, kind)).sum(),
    })
}

/// The summary and the report say that something is missing, and not that all is well.
fn incomplete(ended: &Ended) -> Result<()> {
    for text in [&ended.stdout, &ended.report(&["-q"])?.stdout] {
        let words = one_line(text);
        ensure!(words.contains("this result is incomplete"), "nothing is said of it: {text}");
        ensure!(!words.contains(ALL_CLEAR), "it claims to have seen everything: {text}");
    }
    Ok(())
}

/// The tracer is stopped while a load goes on, and a child begins to hang. If the ring held all of
/// it the hang is proven; if not, what `/proc` tells later is enough to find it, and less sure.
fn stopped(ring: &[&str]) -> Result<()> {
    let script = "echo ready=1; read go; \"$0\" fork 1000 </dev/null; \"$@\" & \
                  \"$0\" exec 300 </dev/null; wait";
    let storm = workload::command("storm.c", &[])?;
    let mut command: Vec<String> =
        ["env", "-u", "WORKLOAD_WAITS", "sh", "-c", script].map(str::to_owned).to_vec();
    command.extend(storm);
    let args = ["normal", "thread", "keep", "single", "25"];
    command.extend(workload::command("inherited_mutex.c", &args)?);
    let mut job = tracer(&[ring, &["-q", "--exit-code", "9"]].concat(), &command)?;
    job.signal(Signal::SIGSTOP)?;
    job.tell()?;
    // A loss after the new look would make the finding a suspect.
    let over = |job: &Job| ["stuck=", "count=300"].iter().all(|it| job.stdout().contains(it));
    job.until("hanging, and all else over", LIMIT, over)?;
    std::thread::sleep(STOPPED);
    job.signal(Signal::SIGCONT)?;
    let ended = job.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(9)?;
        let log = Log::read(&ended.log())?;
        let lost = lost_by_kind(&log)?("");
        ensure!((ring == TINY) == (lost > 0), "{lost} lost: the test did not test");
        let findings = log.sure_findings();
        let [finding] = findings.as_slice() else { anyhow::bail!("not one: {findings:#?}") };
        let stuck = Facts::read(&ended.stdout).one("stuck")?;
        ensure!(number(finding, "/pid") == Some(stuck), "not the one that hangs: {finding:#}");
        let sure = finding.get("confidence").and_then(Value::as_str);
        if lost == 0 {
            ensure!(sure == Some("certain"), "{finding:#}");
            return log.expect_whole();
        }
        ensure!(sure == Some("likely"), "{finding:#}");
        let marked = finding.pointer("/unseen_fork/lost") == Some(&Value::Bool(true));
        ensure!(marked, "it does not say that the fork was lost: {finding:#}");
        ensure!(ended.prints("while events were lost"), "the block does not say it");
        incomplete(&ended)
    };
    judge().with_context(|| ended.said())
}

/// More pages are kept one after the other than there is room for at once, and none is refused.
fn room() -> Result<()> {
    let command = workload::command("quick_forks.c", &["5000"])?;
    let options = ["-q", "--snapshot-limit", "32M", "-o", "{log}", "--"].map(str::to_owned);
    let ended = Job::forktrace(&[options.to_vec(), command].concat())?.wait(LIMIT)?;
    ended.expect_code(0)?;
    let log = Log::read(&ended.log())?;
    let counter = |name: &str| {
        let of_end = |line| number(line, &format!("/counters/{name}"));
        log.of("trace.end").find_map(of_end).unwrap_or(0)
    };
    let (kept, refused) = (counter("pages_kept"), counter("pages_refused"));
    ensure!(kept > (32 << 20) / 4096, "only {kept} pages were kept: the test did not test");
    ensure!(refused == 0, "{refused} children were refused a page");
    Ok(())
}

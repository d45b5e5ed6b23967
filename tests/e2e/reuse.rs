//! Numbers of processes that are used again within a second, on a machine with few of them
//! (`kernel.pid_max`): every process is kept apart from those that had its pid before and after it.

use std::{
    collections::BTreeSet,
    fs,
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    corpus::{Hang, Truth},
    log::{Log, number},
    run::Job,
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use serde_json::Value;

use crate::check;

const LIMIT: Duration = Duration::from_secs(120);
const START: Duration = Duration::from_secs(15);
const PROGRAM: &str = "inherited_mutex.c";
/// A thread of a process that is dead by then has the lock: its number is free.
const ORPHAN: [&str; 4] = ["normal", "thread", "die", "single"];
/// More numbers than these, and nothing is used again.
const FEW: u64 = 1000;

pub(crate) fn trials() -> Vec<Trial> {
    if !forktrace_tests::machine_is_ours() {
        return Vec::new();
    }
    let needs = [Need::Tracing, Need::Cc];
    vec![
        trial("vm_pid_reuse_in_a_storm", &needs, storm),
        trial("vm_pid_reuse_of_the_dead_holder", &needs, || dead_holder(false)),
        trial("vm_pid_reuse_of_the_dead_holder_host", &needs, || dead_holder(true)),
        trial("vm_pid_reuse_before_the_limit_was_raised", &needs, raised),
    ]
}

const LIMIT_OF_NUMBERS: &str = "/proc/sys/kernel/pid_max";

fn few() -> Result<()> {
    let most: u64 = fs::read_to_string(LIMIT_OF_NUMBERS)?.trim().parse()?;
    ensure!(most <= FEW, "the machine has {most} numbers: the test would not test");
    Ok(())
}

/// So many storms, of so many forks and execs each.
const ROUNDS: u64 = 12;

/// One child hangs while thousands come and go. It is found, nobody else is, and every fork has its end.
fn storm() -> Result<()> {
    few()?;
    let script = "storm=$1; shift; \"$@\" & left=$rounds; while [ $left -gt 0 ]; do \
                  $storm fork 500; $storm exec 50; left=$((left - 1)); done; wait";
    let mut args = ["-q", "-o", "{log}", "--", "env"].map(str::to_owned).to_vec();
    args.push(format!("rounds={ROUNDS}"));
    args.extend(["sh", "-c", script, "sh"].map(str::to_owned));
    args.extend(workload::command("storm.c", &[])?);
    args.extend(workload::command(PROGRAM, &ORPHAN)?);
    args.push("8".into());
    let ended = Job::forktrace(&args)?.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let log = Log::read(&ended.log())?;
        log.expect_whole()?;
        let facts = Facts::read(&ended.stdout);
        // Those of the storms, the storms themselves, the workload and its child.
        let forks = facts.all("count").sum::<u64>() + 2 * ROUNDS + 2;
        let children = log.children();
        ensure!(children.len() as u64 == forks, "{} forks, not {forks}", children.len());
        let numbers: BTreeSet<u64> = children.iter().copied().collect();
        ensure!(numbers.len() * 10 < children.len(), "{} numbers: no test", numbers.len());
        log.expect_all_ended()?;
        let all = log.findings();
        ensure!(all.len() == 1, "somebody else is blamed: {all:#?}");
        let finding = check::one_finding(&log, None)?;
        check::hang(finding, Truth::Inherited(Hang::MUTEX), &facts, PROGRAM)?;
        ensure!(finding["confidence"] == "certain", "{finding:#}");
        names(finding, "/comm")?;
        names(finding, "/holder/comm")?;
        check::report(&ended, &log)
    };
    judge().with_context(|| ended.said())
}

fn names(finding: &Value, path: &str) -> Result<()> {
    let name = finding.pointer(path).and_then(Value::as_str);
    // As long as the kernel keeps it.
    ensure!(name == Some("inherited_mutex"), "{path} is {name:?}: {finding:#}");
    Ok(())
}

/// A process of no concern that has a certain number; it ends with this.
struct Innocent(Child);

impl Innocent {
    /// Starts processes until one has the number.
    fn with(number: u64) -> Result<Self> {
        for _ in 0..4 * FEW {
            let mut child = Command::new("sleep").arg("60").spawn()?;
            if u64::from(child.id()) == number {
                return Ok(Innocent(child));
            }
            child.kill()?;
            child.wait()?;
        }
        anyhow::bail!("nobody could be given the number {number}")
    }
}

impl Drop for Innocent {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A child that hangs, alone, and who had the lock.
struct Orphan {
    job: Job,
    stuck: u64,
    holder: u64,
}

impl Orphan {
    fn start() -> Result<Self> {
        let mut command = workload::command(PROGRAM, &ORPHAN)?;
        command.push("40".into());
        let mut job = Job::start(&command, &[])?;
        let said = ["stuck=", "holder=", "lost="];
        job.until("stuck", START, |job| said.iter().all(|fact| job.stdout().contains(fact)))?;
        // The parent ends, and then its child begins to wait.
        std::thread::sleep(Duration::from_secs(1));
        let facts = Facts::read(&job.stdout());
        let (stuck, holder) = (facts.one("stuck")?, facts.one("holder")?);
        Ok(Orphan { job, stuck, holder })
    }
}

/// The lock says that a thread has it whose number somebody else has by now. (The number of its process
/// is not given out again: it is the child's group.)
fn dead_holder(host: bool) -> Result<()> {
    few()?;
    let orphan = Orphan::start()?;
    let _innocent = Innocent::with(orphan.holder)?;
    late(&orphan, host)
}

/// There are many numbers now, so that those that were used twice do not show by the count of tasks.
fn raised() -> Result<()> {
    few()?;
    let few = fs::read_to_string(LIMIT_OF_NUMBERS)?;
    let number = || -> Result<u32> {
        let mut child = Command::new("true").spawn()?;
        child.wait()?;
        Ok(child.id())
    };
    let mut latest = number()?;
    loop {
        let next = number()?;
        if next < latest {
            break;
        }
        latest = next;
    }
    // As many as Linux can have (`PID_MAX_LIMIT`, include/linux/threads.h, Linux 6.18).
    fs::write(LIMIT_OF_NUMBERS, "4194304")?;
    let judged = Orphan::start().and_then(|orphan| late(&orphan, false));
    fs::write(LIMIT_OF_NUMBERS, few)?;
    judged
}

/// That it hangs is likely at most: nobody is left to wake it. Who had the lock cannot be known any more, and
/// is not told.
fn late(orphan: &Orphan, host: bool) -> Result<()> {
    let pid = orphan.stuck.to_string();
    let target: &[&str] = if host { &["-a"] } else { &["-p", &pid] };
    let args = [&["-q", "-d", "6s", "-o", "{log}"], target].concat();
    let traced = Job::forktrace(&args)?.wait(LIMIT)?;
    let judge = || -> Result<()> {
        traced.expect_code(0)?;
        let log = Log::read(&traced.log())?;
        log.expect_whole()?;
        let findings = log.findings();
        for finding in &findings {
            ensure!(number(finding, "/pid") == Some(orphan.stuck), "somebody else: {finding:#}");
            ensure!(finding["confidence"] != "certain", "it cannot be so sure: {finding:#}");
            for path in ["/holder", "/unseen_fork/by_pid"] {
                let blamed = finding.pointer(path).is_some_and(|value| !value.is_null());
                ensure!(!blamed, "{path} is somebody else: {finding:#}");
            }
            let in_order = finding.to_string().contains("not been used twice");
            ensure!(!in_order, "numbers were used twice: {finding:#}");
        }
        let told = traced.prints("could not be judged");
        ensure!(!findings.is_empty() || told, "nothing is said of it");
        Ok(())
    };
    judge().with_context(|| format!("{}\n{}", orphan.job.stdout(), traced.said()))
}

//! Processes that a security module keeps from forktrace though it has every capability: their hangs cannot
//! be recognised, and the summary does not report that all is well.
//!
//! forktrace runs in a Landlock domain, from where processes outside of it may not be looked into.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    log::Log,
    run::{ALL_CLEAR, Ended, Job, NO_HANG, one_line},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;

use crate::{check, doctor};

const LIMIT: Duration = Duration::from_secs(60);
const START: Duration = Duration::from_secs(15);
/// How long a workload hangs that is ended by the test, s.
const HANGS_LONG: &str = "60";
/// How long a traced command hangs, s.
const HANGS: &str = "6";

/// A wait that was seen, and a process whose waits could only have been found by a look.
const WAIT: &str = "1 long wait of forked children could not be judged";
const PROCESS: &str = "1 forked process could not be checked";

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc, Need::Unshare, Need::Landlock];
    vec![
        trial("denied_hang_of_before", &needs, || before(&[])),
        trial("denied_hang_of_before_exact", &needs, || before(&["--exact"])),
        trial("denied_hang_of_now", &needs, || now(&[], PROCESS)),
        trial("denied_hang_of_now_exact", &needs, || now(&["--exact"], WAIT)),
        trial("denied_others_but_not_the_command", &needs, command),
        trial("denied_by_what_doctor_says", &needs, examined),
    ]
}

/// forktrace in a domain in which it may see tracepoints.
fn landlocked(args: &[&str]) -> Result<Job> {
    let line = "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing; \
                exec \"$@\"";
    let mut command = ["unshare", "-m", "sh", "-c", line, "sh"].map(str::to_owned).to_vec();
    command.extend(workload::command("landlocked.c", &[])?);
    command.push(forktrace_tests::forktrace()?.display().to_string());
    command.extend(args.iter().map(|arg| (*arg).to_owned()));
    Job::start(&command, &[])
}

fn hanging(seconds: &str) -> Result<Vec<String>> {
    workload::command("inherited_mutex.c", &["normal", "thread", "keep", "single", seconds])
}

/// No finding, no all-clear, and who is to blame, live and in the report of the log.
fn not_judged(ended: &Ended, what: &str) -> Result<()> {
    let judge = |said: &str| -> Result<()> {
        // Lines are broken anywhere.
        let said = one_line(said);
        for words in [NO_HANG, what, "security module", "Landlock", "audit log"] {
            ensure!(said.contains(words), "{words:?} is not said");
        }
        ensure!(!said.contains(ALL_CLEAR), "it says that all is well");
        ensure!(!said.contains("HANG"), "a finding, of what could not be read");
        Ok(())
    };
    let both = || {
        ended.expect_code(0)?;
        judge(&ended.stdout)?;
        judge(&ended.report(&[])?.stdout).context("report")
    };
    both().with_context(|| ended.said())
}

fn before(flags: &[&str]) -> Result<()> {
    let mut job = Job::start(&hanging(HANGS_LONG)?, &[])?;
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    let pid = job.pid().to_string();
    let args = [&["-q", "-o", "{log}", "-d", "4s", "-p", &pid], flags].concat();
    not_judged(&landlocked(&args)?.wait(LIMIT)?, PROCESS)
}

fn now(flags: &[&str], what: &str) -> Result<()> {
    let mut job = Job::start(&hanging(HANGS_LONG)?, &[("WORKLOAD_WAITS", "1")])?;
    job.until("ready", START, |job| job.stdout().contains("ready="))?;
    let pid = job.pid().to_string();
    let args = [&["-q", "-o", "{log}", "-d", "8s", "-p", &pid], flags].concat();
    let mut tracer = landlocked(&args)?;
    tracer.until("tracing", START, |job| job.log_text().contains("process.snapshot"))?;
    job.tell()?;
    not_judged(&tracer.wait(LIMIT)?, what)
}

/// What it starts is in the domain too, and judged as ever.
fn command() -> Result<()> {
    let hanging = hanging(HANGS)?;
    let mut args = vec!["-q", "-o", "{log}", "--"];
    args.extend(hanging.iter().map(String::as_str));
    let ended = landlocked(&args)?.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let stuck = Facts::read(&ended.stdout).one("stuck")?;
        let log = Log::read(&ended.log())?;
        let finding = check::one_finding(&log, Some(stuck))?;
        ensure!(finding["confidence"] == "certain", "{finding:#}");
        ensure!(!ended.stdout.contains("security module"), "something was denied");
        Ok(())
    };
    judge().with_context(|| ended.said())
}

fn examined() -> Result<()> {
    let ended = landlocked(&["doctor", "--json"])?.wait(LIMIT)?;
    ended.expect_code(0)?;
    let checks = doctor::checks(&ended)?;
    let memory = doctor::named(&checks, "process-memory")?;
    let names = memory["detail"].as_str().is_some_and(|detail| detail.contains("Landlock"));
    ensure!(memory["status"] == "limited" && names, "{memory}");
    let remedy = memory["remedy"].as_str().is_some_and(|remedy| remedy.contains("audit log"));
    ensure!(remedy, "{memory}");
    Ok(())
}

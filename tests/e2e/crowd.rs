//! Many at once, and too short a time: nobody is overlooked, and what was not examined is reported.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    log::{Log, number},
    run::{ALL_CLEAR, Job, one_line},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

/// How long the workloads hang, and how long they are waited for at most.
const HANGS: &str = "60";
const LIMIT: Duration = Duration::from_secs(55);
const START: Duration = Duration::from_secs(15);
const CROWD: usize = 48;

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc, Need::Setpriv];
    vec![
        trial("crowd_of_hangs", &needs, || found(false)),
        trial("crowd_of_hangs_late", &needs, || found(true)),
        trial("crowd_of_threads_at_rest_late", &needs, at_rest),
        trial("short_duration_is_told", &needs, too_short),
        trial("short_command_is_no_shortfall", &needs, short_command),
    ]
}

/// Every one of dozens that hang at once is found before they end.
fn found(late: bool) -> Result<()> {
    let command = workload::command("several_stuck.c", &["crowd", HANGS])?;
    let waits: &[_] = if late { &[] } else { &[("WORKLOAD_WAITS", "1")] };
    let mut job = Job::start(&command, waits)?;
    if late {
        let stuck = |job: &Job| Facts::read(&job.stdout()).all("stuck").count() == CROWD;
        job.until("all are stuck", START, stuck)?;
    }
    let mut traced = Job::forktrace(&["-q", "-o", "{log}", "-p", &job.pid().to_string()])?;
    if !late {
        traced.until("attached", START, |job| job.log_text().contains("process.snapshot"))?;
        job.tell()?;
    }
    let findings = |job: &Job| {
        let log = job.log_text();
        log.lines().filter(|line| line.contains("\"type\":\"finding\"")).count()
    };
    traced.until("all are found", LIMIT, |job| findings(job) >= CROWD)?;
    let facts = Facts::read(&job.stdout());
    traced.signal(Signal::SIGINT)?;
    let traced = traced.wait(LIMIT)?;
    drop(job);
    let judge = || -> Result<()> {
        let log = Log::read(&traced.log())?;
        let hang: BTreeSet<_> = log.findings().iter().map(|line| number(line, "/pid")).collect();
        let stuck: BTreeSet<_> = facts.all("stuck").map(Some).collect();
        ensure!(stuck.len() == CROWD && hang == stuck, "found {hang:?} of {stuck:?}");
        Ok(())
    };
    judge().with_context(|| traced.said())
}

/// A pool of threads at rest costs a few looks, and the summary does not say that all is well.
fn at_rest() -> Result<()> {
    let job = Job::start(&workload::command("idle_pool.c", &["1000", HANGS])?, &[])?;
    std::thread::sleep(Duration::from_secs(2));
    let pid = job.pid().to_string();
    let traced = Job::forktrace(&["-q", "-d", "4s", "-o", "{log}", "-p", &pid])?.wait(LIMIT)?;
    drop(job);
    let judge = || -> Result<()> {
        traced.expect_code(0)?;
        let log = Log::read(&traced.log())?;
        // Nobody is left who could wake them: one of them speaks for all.
        ensure!(log.sure_findings().len() == 1, "found {:#?}", log.findings());
        let waits: BTreeSet<_> = log.of("evidence").map(|line| number(line, "/tid")).collect();
        ensure!(waits.len() <= 8, "{} threads were looked at", waits.len());
        ensure!(!traced.is_clear(), "all is well");
        Ok(())
    };
    judge().with_context(|| traced.said())
}

/// If no wait can have lasted long enough, the summary does not report that all is well.
fn too_short() -> Result<()> {
    let mut job = Job::start(&workload::command("late_page.c", &["latest", HANGS])?, &[])?;
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    let pid = job.pid().to_string();
    let args = ["-q", "-d", "300ms", "--min-wait", "30s", "-o", "{log}", "-p", &pid];
    let traced = Job::forktrace(&args)?.wait(LIMIT)?;
    drop(job);
    let judge = || -> Result<()> {
        traced.expect_code(0)?;
        for text in [&traced.stdout, &traced.report(&["-q"])?.stdout] {
            let text = one_line(text);
            let told = text.contains("the trace lasted ");
            ensure!(told && !text.contains(ALL_CLEAR), "{text}");
        }
        Ok(())
    };
    judge().with_context(|| traced.said())
}

/// A command that has ended hangs no more, however short it was.
fn short_command() -> Result<()> {
    let traced = Job::forktrace(&["-q", "--", "true"])?.wait(LIMIT)?;
    traced.expect_code(0)?;
    ensure!(traced.is_clear(), "{}", traced.said());
    Ok(())
}

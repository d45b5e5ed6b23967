//! A hang whose process is stopped, as a debugger does with what it is attached to: it has not gone on,
//! and the summary does not report that all is well.

use std::{thread::sleep, time::Duration};

use anyhow::{Result, ensure};
use forktrace_tests::{
    Need,
    run::{Ended, Job},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const START: Duration = Duration::from_secs(15);
const LIMIT: Duration = Duration::from_secs(60);
/// From the word of a child that it is about to hang until it does.
const SOON: Duration = Duration::from_millis(300);
/// Several rounds of samples, and longer than a wait must last to be reported.
const WHILE: Duration = Duration::from_millis(1500);

const HUNG: &str = "on an inherited lock: inherited_mutex[";

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc];
    let trial = |name, test: fn(&[&str], &str) -> Result<()>, args, children| {
        trial(name, &needs, move || test(args, children))
    };
    let exact: &[&str] = &["--exact"];
    vec![
        trial("stopped_once_found_exact", once_found, exact, "single"),
        trial("stopped_once_found", once_found, &[], "single"),
        trial("stopped_before_the_trace_exact", before_the_trace, exact, "single"),
        trial("stopped_before_the_trace", before_the_trace, &[], "single"),
        trial("stopped_before_it_is_found_exact", before_it_is_found, exact, "single"),
        trial("stopped_before_it_is_found", before_it_is_found, &[], "single"),
        trial("stopped_beside_a_thread_exact", before_it_is_found, exact, "threads"),
        trial("stopped_beside_a_thread", before_it_is_found, &[], "threads"),
    ]
}

fn hang(children: &str) -> Result<Job> {
    Job::start(
        &workload::command("inherited_mutex.c", &["normal", "thread", "keep", children, "30"])?,
        &[],
    )
}

/// Waits for the hang, and returns the process.
fn stuck(job: &mut Job) -> Result<Pid> {
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    sleep(SOON);
    let tid = Facts::read(&job.stdout()).one("stuck")?;
    Ok(Pid::from_raw(i32::try_from(tid)?))
}

fn trace(job: &Job, args: &[&str]) -> Result<Job> {
    let pid = job.pid().to_string();
    let mut tracer = Job::forktrace(&[&["-v", "-p", &pid], args].concat())?;
    tracer.until("attached", START, |tracer| tracer.stdout().contains(" alive "))?;
    Ok(tracer)
}

fn end(tracer: Job) -> Result<Ended> {
    tracer.signal(Signal::SIGINT)?;
    let traced = tracer.wait(LIMIT)?;
    traced.expect_code(0)?;
    Ok(traced)
}

fn once_found(args: &[&str], children: &str) -> Result<()> {
    let mut job = hang(children)?;
    let child = stuck(&mut job)?;
    let mut tracer = trace(&job, args)?;
    tracer.until("found", START, |tracer| tracer.stdout().contains("HANG"))?;
    kill(child, Signal::SIGSTOP)?;
    sleep(WHILE);
    kill(child, Signal::SIGCONT)?;
    sleep(WHILE);
    kill(child, Signal::SIGSTOP)?;
    sleep(WHILE);
    let traced = end(tracer)?;
    let said = &traced.stdout;
    ensure!(!said.contains("ENDED") && !said.contains("resumed"), "{}", traced.said());
    ensure!(said.contains(HUNG) && said.matches("HANG ").count() == 2, "{}", traced.said());
    ensure!(!traced.prints("interrupted when tracing stopped"), "{}", traced.said());
    Ok(())
}

/// With `--exact` it is found all the same, otherwise there is something that is not judged.
fn before_the_trace(args: &[&str], children: &str) -> Result<()> {
    let mut job = hang(children)?;
    kill(stuck(&mut job)?, Signal::SIGSTOP)?;
    let tracer = trace(&job, args)?;
    sleep(2 * WHILE);
    let traced = end(tracer)?;
    match args {
        [] => unsure(&traced, children)?,
        _ => ensure!(traced.stdout.contains(HUNG), "{}", traced.said()),
    }
    Ok(())
}

fn before_it_is_found(args: &[&str], children: &str) -> Result<()> {
    let mut job = hang(children)?;
    let child = stuck(&mut job)?;
    let tracer = trace(&job, args)?;
    kill(child, Signal::SIGSTOP)?;
    sleep(WHILE);
    unsure(&end(tracer)?, children)
}

/// The wait is named with its line, and told once: as one of a thread that is stopped, or as interrupted.
fn unsure(traced: &Ended, children: &str) -> Result<()> {
    let stopped = traced.prints("nobody has continued it");
    let interrupted = traced.prints("interrupted when tracing stopped");
    ensure!(stopped != interrupted && !traced.is_clear(), "{}", traced.said());
    ensure!(traced.prints("at main (inherited_mutex.c:"), "not named: {}", traced.said());
    // Each thread of a process that is stopped is.
    let alone = !stopped || children != "threads";
    let once = traced.prints("1 wait was not judged");
    ensure!(once == alone && traced.prints("not judged"), "{}", traced.said());
    Ok(())
}

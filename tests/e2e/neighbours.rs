//! Processes that are unlike others, by accident or on purpose: what is seen of them all the same, and
//! that none of them stops the tracer.

use std::{os::unix::fs::PermissionsExt as _, time::Duration};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    log::Log,
    run::{Ended, Job},
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

use crate::check;

const LIMIT: Duration = Duration::from_secs(40);
const START: Duration = Duration::from_secs(15);
/// How long a workload hangs, s.
const HANGS: &str = "6";
/// How long the file system's server stays away: longer than the tracer may take.
const AWAY: &str = "60";

/// What `unlike.c` makes of a process.
static UNLIKE: &[(&str, &str)] = &[
    ("neighbour_not_dumpable", "hidden"),
    ("neighbour_under_seccomp", "filtered"),
    ("neighbour_under_a_debugger", "seized"),
    ("neighbour_under_strace", "stepped"),
];

/// Where `{forktrace}` finds a `/proc` that is not the host's.
static ELSEWHERE: &[(&str, &str)] = &[
    ("elsewhere_pid_namespace", "exec unshare --pid --fork --mount-proc {forktrace}"),
    (
        "elsewhere_proc_of_a_container",
        "exec unshare -m sh -c 'unshare --pid --fork mount -t proc proc /proc; exec {forktrace}'",
    ),
    ("elsewhere_no_proc", "exec unshare -m sh -c 'mount -t tmpfs tmpfs /proc; exec {forktrace}'"),
];

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc];
    let unlike = |(name, how): &'static (_, &str)| trial(*name, &needs, || unlike(how));
    let mut trials: Vec<Trial> = UNLIKE.iter().map(unlike).collect();
    let elsewhere = |(name, shell): &'static (_, &str)| {
        trial(*name, &[Need::Tracing, Need::Unshare], || elsewhere(shell))
    };
    trials.extend(ELSEWHERE.iter().map(elsewhere));
    trials.extend([
        trial("neighbour_setuid", &[Need::Tracing, Need::Cc, Need::Setpriv], setuid),
        trial("neighbour_of_32_bits", &[Need::Tracing, Need::Narrow], narrow),
        trial("neighbour_file_never_read", &[Need::Tracing, Need::Cc, Need::Fuse], slow_file),
        trial("two_tracers_at_once", &needs, two_tracers),
        trial("log_tells_nothing_from_beside_the_lock", &needs, secrets),
    ]);
    trials
}

/// Traces a command in which one process hangs for certain, and whatever else is said of it.
fn certain(command: Vec<String>, flags: &[&str]) -> Result<(Ended, Log)> {
    let mut args = ["-q", "-o", "{log}"].map(str::to_owned).to_vec();
    args.extend(flags.iter().map(|flag| (*flag).to_owned()));
    args.push("--".into());
    args.extend(command);
    // What it started may outlive it.
    let (ended, _) = Job::forktrace(&args)?.wait_and_leave(LIMIT)?;
    let judge = || -> Result<Log> {
        ended.expect_code(0)?;
        let log = Log::read(&ended.log())?;
        log.expect_whole()?;
        let stuck = Facts::read(&ended.stdout).one("stuck")?;
        let finding = check::one_finding(&log, Some(stuck))?;
        ensure!(finding["confidence"] == "certain", "{finding:#}");
        ensure!(ended.stdout.contains("pthread_mutex_lock ← main"), "no names");
        Ok(log)
    };
    let log = judge().with_context(|| ended.said())?;
    Ok((ended, log))
}

fn unlike(how: &str) -> Result<()> {
    certain(workload::command("unlike.c", &[how, HANGS])?, &[]).map(drop)
}

/// A program of root's that a user runs.
fn setuid() -> Result<()> {
    let mutex = ["normal", "thread", "keep", "single", HANGS];
    let mut workload = workload::command("inherited_mutex.c", &mutex)?;
    let folder = tempfile::tempdir()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
    let program = folder.path().join("setuid");
    workload::install(workload[0].as_ref(), &program, 0o4755)?;
    workload[0] = program.display().to_string();
    let mut command = ["setpriv", "--reuid=61235", "--clear-groups"].map(str::to_owned).to_vec();
    command.extend(workload);
    certain(command, &[]).map(drop)
}

/// It comes and goes as others do, and that its wait is not seen is said.
fn narrow() -> Result<()> {
    let program = workload::narrow()?.display().to_string();
    let ended = Job::forktrace(&["-q", "-o", "{log}", "--", &program])?.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let log = Log::read(&ended.log())?;
        log.expect_whole()?;
        log.expect_all_ended()?;
        ensure!(log.children().len() == 1 && log.findings().is_empty(), "another tree");
        ensure!(log.of("futex.wait").next().is_none(), "a wait was seen after all");
        let said = "2 processes ran a 32-bit program: forktrace does not find hangs there";
        ensure!(ended.prints(said), "it is not said");
        ensure!(ended.report(&[])?.prints(said), "the report does not say it");
        Ok(())
    };
    judge().with_context(|| ended.said())
}

/// What a server that does not answer keeps from the tracer is missing; nothing waits for it.
fn slow_file() -> Result<()> {
    certain(workload::command("slow_file.c", &[AWAY])?, &["-d", "10s"]).map(drop)
}

/// Each sees all, and neither the other's traces nor its own.
fn two_tracers() -> Result<()> {
    let mutex = ["normal", "thread", "release", "single", "60"];
    let command = workload::command("inherited_mutex.c", &mutex)?;
    let mut job = Job::start(&command, &[("WORKLOAD_WAITS", "1")])?;
    job.until("ready", START, |job| job.stdout().contains("ready="))?;
    let pid = job.pid().to_string();
    let targets: [&[&str]; 2] = [&["-p", &pid], &["-a"]];
    let mut tracers = Vec::new();
    for target in targets {
        tracers.push(Job::forktrace(&[&["-q", "-o", "{log}"], target].concat())?);
    }
    let alive = format!("\"pid\":{pid},");
    for tracer in &mut tracers {
        tracer.until("attached", START, |tracer| tracer.log_text().contains(&alive))?;
    }
    let pids: Vec<u64> = tracers.iter().map(|tracer| u64::from(tracer.pid())).collect();
    job.tell()?;
    job.until("stuck", START, |job| job.stdout().contains("stuck="))?;
    let stuck = Facts::read(&job.stdout()).one("stuck")?;
    let block = format!("HANG  inherited_mutex[{stuck}]");
    for (mut tracer, own) in tracers.into_iter().zip(pids) {
        tracer.until("found", LIMIT, |tracer| tracer.stdout().contains(&block))?;
        tracer.signal(Signal::SIGTERM)?;
        let ended = tracer.wait(LIMIT)?;
        let judge = || -> Result<()> {
            ended.expect_code(0)?;
            let log = Log::read(&ended.log())?;
            let finding = check::one_finding(&log, Some(stuck))?;
            ensure!(finding["confidence"] == "certain", "{finding:#}");
            ensure!(!log.processes().contains(&own), "it traces itself");
            Ok(())
        };
        judge().with_context(|| ended.said())?;
    }
    Ok(())
}

fn elsewhere(shell: &str) -> Result<()> {
    let tracer = forktrace_tests::forktrace()?.display();
    for arguments in ["-q -- true", "-p 1", "-a -d 1s", "demo copied-state"] {
        let line = shell.replace("{forktrace}", &format!("{tracer} {arguments}"));
        let ended = Job::start(&["sh", "-c", &line].map(str::to_owned), &[])?.wait(LIMIT)?;
        ended.expect_code(3)?;
        let said = ended.stderr.lines().count() == 1 && ended.stderr.contains("--pid=host");
        ensure!(said && ended.stdout.is_empty(), "{arguments}\n{}", ended.said());
    }
    Ok(())
}

/// The bytes around the mutex are evidence; what is further away never gets into a log.
fn secrets() -> Result<()> {
    let (ended, _) = certain(workload::command("unlike.c", &["secret", HANGS])?, &[])?;
    let text = std::fs::read_to_string(ended.log())?;
    for secret in ["secret-before", "secret-after", "secret-on"] {
        let digits: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        ensure!(!text.contains(secret) && !text.contains(&digits), "{secret} is in the log");
    }
    Ok(())
}

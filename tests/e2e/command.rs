//! `-- CMD`: exit statuses, the command left alone, the tracer interrupted or killed.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{Need, log::Log, run::Job, trial, workload};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;

const LIMIT: Duration = Duration::from_secs(30);
/// How long the traced command may take to get going.
const START: Duration = Duration::from_secs(15);

/// Arguments of forktrace and the status that it must exit with.
static STATUSES: &[(&str, &[&str], i32)] = &[
    ("command_status_0", &["-q", "--", "true"], 0),
    ("command_status_7", &["-q", "--", "sh", "-c", "exit 7"], 7),
    ("command_killed_by_sigterm", &["-q", "--", "sh", "-c", "kill -TERM $$"], 143),
    ("command_no_finding_keeps_status", &["-q", "--exit-code", "9", "--", "sh", "-c", "exit 7"], 7),
    ("command_no_follow", &["-q", "--no-follow", "--", "sh", "-c", "true; exit 3"], 3),
];

pub(crate) fn trials() -> Vec<Trial> {
    let needs = [Need::Tracing, Need::Cc];
    let status = |(name, args, code): &'static (&str, &[&str], i32)| {
        trial(*name, &needs, || Job::forktrace(args)?.wait(LIMIT)?.expect_code(*code))
    };
    let mut trials: Vec<Trial> = STATUSES.iter().map(status).collect();
    trials.extend([
        trial("command_exit_code_of_a_finding", &needs, exit_code),
        trial("command_output_undisturbed", &needs, output),
        trial("command_json", &needs, json),
        trial("command_left_running_after_duration", &needs, duration),
        trial("command_interrupted", &needs, interrupted),
        trial("command_survives_the_tracer", &needs, tracer_killed),
        trial("log_is_private", &needs, private_log),
    ]);
    trials
}

fn exit_code() -> Result<()> {
    let mut args = ["-q", "--exit-code", "9", "--"].map(str::to_owned).to_vec();
    let mutex = ["normal", "thread", "keep", "single", "3"];
    args.extend(workload::command("inherited_mutex.c", &mutex)?);
    Job::forktrace(&args)?.wait(LIMIT)?.expect_code(9)
}

fn output() -> Result<()> {
    let script = "echo to stdout; echo to stderr >&2; read line; echo got $line";
    let mut job = Job::forktrace(&["-q", "-o", "{log}", "--", "sh", "-c", script])?;
    job.until("running", START, |job| job.stdout().contains("to stdout\n"))?;
    job.tell()?;
    let ended = job.wait(LIMIT)?;
    let judge = || -> Result<()> {
        ended.expect_code(0)?;
        let lines: Vec<&str> = ended.stdout.lines().collect();
        ensure!(lines.starts_with(&["to stdout", "got"]), "its stdout is not as it wrote it");
        ensure!(ended.stderr.lines().any(|line| line == "to stderr"), "its stderr is missing");
        Ok(())
    };
    judge().with_context(|| ended.said())
}

/// With `--json` all of stdout is the log, if the command itself writes nothing.
fn json() -> Result<()> {
    let ended = Job::forktrace(&["--json", "--", "sh", "-c", "true; /bin/true"])?.wait(LIMIT)?;
    ended.expect_code(0)?;
    let log = Log::parse(&ended.stdout).with_context(|| ended.said())?;
    log.expect_whole()?;
    ensure!(log.of("process.exec").count() > 0, "no exec seen\n{}", ended.said());
    Ok(())
}

fn duration() -> Result<()> {
    let (ended, left) =
        Job::forktrace(&["-q", "-d", "2s", "--", "sleep", "60"])?.wait_and_leave(LIMIT)?;
    ended.expect_code(0)?;
    let [pid] = left.as_slice() else {
        anyhow::bail!("left running: {left:?} instead of one process\n{}", ended.said())
    };
    let named = ended.stderr.split(|c: char| !c.is_ascii_digit()).any(|n| n == pid.to_string());
    ensure!(named, "{pid} is not named\n{}", ended.said());
    Ok(())
}

/// Ctrl-C for the tracer alone: it detaches, sums up and exits 0.
fn interrupted() -> Result<()> {
    let mut job = Job::forktrace(&["-o", "{log}", "--", "sh", "-c", "echo up; exec sleep 60"])?;
    job.until("running", START, |job| job.stdout().contains("up\n"))?;
    job.signal(Signal::SIGINT)?;
    let (ended, left) = job.wait_and_leave(LIMIT)?;
    ended.expect_code(0)?;
    ensure!(left.len() == 1, "left running: {left:?}\n{}", ended.said());
    ensure!(ended.stdout.to_lowercase().contains("lost"), "no summary\n{}", ended.said());
    Log::read(&ended.log())?.expect_whole()
}

/// A tracer that is killed leaves the command alone, and nothing in the kernel's file system.
fn tracer_killed() -> Result<()> {
    let mut job = Job::forktrace(&["-q", "--", "sh", "-c", "echo up; sleep 2; echo done"])?;
    job.until("running", START, |job| job.stdout().contains("up\n"))?;
    job.signal(Signal::SIGKILL)?;
    let (ended, left) = job.wait_and_leave(LIMIT)?;
    ended.expect_code(137)?;
    ensure!(left.is_empty(), "left running: {left:?}");
    ensure!(ended.stdout.contains("done\n"), "the command was disturbed\n{}", ended.said());
    // Not there at all where bpffs is not mounted.
    let pinned = fs::read_dir("/sys/fs/bpf").into_iter().flatten().flatten();
    let ours = pinned.filter(|entry| entry.file_name().to_string_lossy().contains("forktrace"));
    ensure!(ours.count() == 0, "something stayed pinned in /sys/fs/bpf");
    Ok(())
}

fn private_log() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let ended = Job::forktrace(&["-q", "-o", "{log}", "--", "true"])?.wait(LIMIT)?;
    ended.expect_code(0)?;
    let mode = fs::metadata(ended.log())?.permissions().mode() & 0o7777;
    ensure!(mode == 0o600, "its mode is {mode:o}");
    Ok(())
}

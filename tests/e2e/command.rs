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
    ("command_no_follow", &["-q", "--no-follow", "--", "sh", "-c", "/bin/true; exit 3"], 3),
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
        trial("command_json_keeps_stdout_for_the_log", &needs, json_stdout),
        trial("command_signals_as_untraced", &needs, signals),
        trial("command_ended_by_ctrl_c", &needs, ctrl_c),
        trial("command_output_closed", &needs, closed),
        trial("command_left_running_after_duration", &needs, duration),
        trial("command_that_leaves_others_behind", &needs, left_behind),
        trial("command_interrupted", &needs, interrupted),
        trial("command_survives_the_tracer", &needs, tracer_killed),
        trial("log_is_private", &needs, private_log),
        trial("log_made_under_sudo_belongs_to_the_user", &needs, sudo_log),
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

/// What the command writes to stdout is not mixed with the log.
fn json_stdout() -> Result<()> {
    for flags in [&["--json"][..], &["-o", "-"], &["--json", "-o", "-"]] {
        let args = [flags, &["--", "sh", "-c", "echo said"]].concat();
        let ended = Job::forktrace(&args)?.wait(LIMIT)?;
        ended.expect_code(0)?;
        let log = Log::parse(&ended.stdout).with_context(|| ended.said())?;
        log.expect_whole().with_context(|| ended.said())?;
        ensure!(ended.stderr == "said\n", "{}", ended.said());
    }
    Ok(())
}

/// A traced command ignores and blocks the signals that it would ignore and block untraced.
fn signals() -> Result<()> {
    let masks = |text: &str| -> Vec<String> {
        let wanted = |line: &&str| line.starts_with("SigIgn") || line.starts_with("SigBlk");
        text.lines().filter(wanted).map(str::to_owned).collect()
    };
    let tracer = forktrace_tests::forktrace()?.display();
    for before in ["", "trap '' PIPE; "] {
        let run = |command: String| -> Result<Vec<String>> {
            let shell = ["sh", "-c", &format!("{before}{command} cat /proc/self/status")];
            let ended = Job::start(&shell.map(str::to_owned), &[])?.wait(LIMIT)?;
            ended.expect_code(0)?;
            Ok(masks(&ended.stdout))
        };
        let (untraced, traced) = (run("exec".into())?, run(format!("exec {tracer} -q --"))?);
        ensure!(untraced.len() == 2 && untraced == traced, "{traced:?} instead of {untraced:?}");
    }
    Ok(())
}

/// Ctrl-C on a terminal is for the command too: its end is seen, and its status is ours.
fn ctrl_c() -> Result<()> {
    // Whoever runs the tests in the background may have them ignore the signal.
    let tracer = forktrace_tests::forktrace()?.display().to_string();
    let script = "echo up; exec sleep 60";
    let command = ["env", "--default-signal=INT", &tracer, "-o", "{log}", "--", "sh", "-c", script];
    let mut job = Job::start(&command.map(str::to_owned), &[])?;
    job.until("running", START, |job| job.stdout().contains("up\n"))?;
    let group = nix::unistd::Pid::from_raw(i32::try_from(job.pid())?);
    nix::sys::signal::killpg(group, Signal::SIGINT)?;
    let ended = job.wait(LIMIT)?;
    ended.expect_code(130)?;
    ensure!(ended.stderr.contains("killed by signal 2"), "{}", ended.said());
    ensure!(ended.stdout.contains(" exit "), "its end was not seen\n{}", ended.said());
    Log::read(&ended.log())?.expect_whole()
}

/// Whoever reads the output goes away: tracing ends, the log is whole, the command goes on.
fn closed() -> Result<()> {
    let script = "for i in 1 2 3 4 5 6 7 8; do /bin/true; sleep 0.2; done; sleep 60";
    let tracer = forktrace_tests::forktrace()?.display();
    let line = format!("{tracer} -o {{log}} -- sh -c '{script}' | head -n 3");
    let shell = ["sh", "-c", &line].map(str::to_owned);
    let (ended, left) = Job::start(&shell, &[])?.wait_and_leave(LIMIT)?;
    ended.expect_code(0)?;
    ensure!(!left.is_empty(), "the command was ended\n{}", ended.said());
    let said = ended.stderr.lines().collect::<Vec<_>>();
    ensure!(said.len() == 1 && said[0].contains("continues to run as process"), "{}", ended.said());
    ensure!(ended.stdout.lines().count() == 3, "{}", ended.said());
    Log::read(&ended.log())?.expect_whole()
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

/// The end of the command is printed while what it left behind is traced.
fn left_behind() -> Result<()> {
    let mut job = Job::forktrace(&["-q", "--", "sh", "-c", "sleep 60 & exit 7"])?;
    let said = "the command ended with status 7; 1 process of it still runs";
    job.until("told", START, |job| job.stderr().contains(said))?;
    job.signal(Signal::SIGINT)?;
    job.wait_and_leave(LIMIT)?.0.expect_code(7)
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

fn sudo_log() -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let user = [("SUDO_UID", "65534"), ("SUDO_GID", "65534")];
    let tracer = forktrace_tests::forktrace()?.display().to_string();
    let command = [&tracer, "-q", "-o", "{log}", "--", "true"].map(str::to_owned);
    let ended = Job::start(&command, &user)?.wait(LIMIT)?;
    ended.expect_code(0)?;
    let metadata = fs::metadata(ended.log())?;
    ensure!((metadata.uid(), metadata.gid()) == (65534, 65534), "it belongs to {}", metadata.uid());
    ensure!(metadata.mode() & 0o777 == 0o600, "its mode is {:o}", metadata.mode());
    Ok(())
}

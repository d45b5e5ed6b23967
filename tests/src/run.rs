//! Running forktrace and workloads with a limit, and making sure that nothing stays behind.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::forktrace;

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long processes may take to go after what started them has ended.
const GRACE: Duration = Duration::from_secs(5);
/// Environment variable by which the descendants of a job are recognised.
const TAG: &str = "FORKTRACE_TEST_JOB";
/// The most characters of a line of a log in a failure message.
const MOST: usize = 400;
/// User and group without any right.
const NOBODY: u32 = 65534;

/// A program started by a test, with all its descendants.
#[derive(Debug)]
pub struct Job {
    child: Child,
    folder: TempDir,
    tag: String,
    /// Set once the job was waited for and its descendants were dealt with.
    settled: bool,
}

/// How a job ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit status, or 128 + n for signal n.
    pub code: i32,
    /// Everything that it and its descendants wrote to stdout.
    pub stdout: String,
    /// The same of stderr.
    pub stderr: String,
    /// Its files, among them the log.
    folder: TempDir,
}

/// Where a job's log goes, inside of its folder.
fn log_path(folder: &TempDir) -> PathBuf {
    folder.path().join("log.jsonl")
}

impl Job {
    /// Starts forktrace with these arguments; `{log}` stands for the job's log file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn forktrace<S: AsRef<str>>(args: &[S]) -> Result<Self> {
        let mut command = vec![forktrace()?.display().to_string()];
        command.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        Job::start(&command, &[])
    }

    /// The same as a user without any right.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn forktrace_as_nobody<S: AsRef<str>>(args: &[S]) -> Result<Self> {
        let mut command = as_nobody();
        command.push(forktrace()?.display().to_string());
        command.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        Job::start(&command, &[])
    }

    /// Starts a command line. Its stdin is a pipe: see [`Job::tell`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &[String], environment: &[(&str, &str)]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let tag = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix("forktrace-job-").tempdir()?;
        let log = log_path(&folder).display().to_string();
        let (program, args) = command.split_first().context("empty command line")?;
        let output =
            |name| File::options().create(true).append(true).open(folder.path().join(name));
        let child = Command::new(program)
            .args(args.iter().map(|arg| arg.replace("{log}", &log)))
            .env(TAG, &tag)
            .env_remove("COLUMNS")
            // With it a line and its end are two writes, between which another process may write.
            .env_remove("PYTHONUNBUFFERED")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(output("stdout")?)
            .stderr(output("stderr")?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        Ok(Job { child, folder, tag, settled: false })
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its log so far.
    pub fn log_text(&self) -> String {
        read(&log_path(&self.folder))
    }

    /// Its stderr so far.
    pub fn stderr(&self) -> String {
        read(&self.folder.path().join("stderr"))
    }

    /// Its stdout so far.
    pub fn stdout(&self) -> String {
        read(&self.folder.path().join("stdout"))
    }

    /// Waits until something is true of the job.
    ///
    /// # Errors
    /// When it has not become true within `limit`, or the job has ended before.
    pub fn until(
        &mut self,
        what: &str,
        limit: Duration,
        is_so: impl Fn(&Job) -> bool,
    ) -> Result<()> {
        let start = Instant::now();
        while !is_so(self) {
            let ended = self.child.try_wait()?;
            // What it wrote last may have made it true.
            if let Some(status) = ended.filter(|_| !is_so(self)) {
                bail!("ended with {status} before {what}\n{}", self.said());
            }
            ensure!(start.elapsed() < limit, "not {what} after {limit:?}\n{}", self.said());
            sleep(LOOK);
        }
        Ok(())
    }

    /// Whether its first process has ended.
    ///
    /// # Errors
    /// When that cannot be asked.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Lets a workload go on that waits for it (`WORKLOAD_WAITS`).
    ///
    /// # Errors
    /// When it has closed its stdin.
    pub fn tell(&mut self) -> Result<()> {
        let mut stdin = self.child.stdin.take().context("told already")?;
        Ok(stdin.write_all(b"\n")?)
    }

    /// Sends a signal to the job's first process only.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.pid())?), signal)?)
    }

    /// Waits for the job's end, and for that of all its descendants.
    ///
    /// # Errors
    /// When it takes longer than `limit`, or a descendant stays behind; all are ended then.
    pub fn wait(self, limit: Duration) -> Result<Ended> {
        let (ended, left) = self.wait_and_leave(limit)?;
        ensure!(left.is_empty(), "processes {left:?} stayed behind\n{}", ended.said());
        Ok(ended)
    }

    /// The same, but descendants may stay behind: they are named, and ended.
    ///
    /// # Errors
    /// When it takes longer than `limit`.
    pub fn wait_and_leave(mut self, limit: Duration) -> Result<(Ended, Vec<u32>)> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(start.elapsed() < limit, "still runs after {limit:?}\n{}", self.said());
            sleep(LOOK);
        };
        let end = Instant::now();
        let mut left = tagged(&self.tag);
        while !left.is_empty() && end.elapsed() < GRACE {
            sleep(LOOK);
            left = tagged(&self.tag);
        }
        end_all(&self.tag);
        self.settled = true;
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir()?);
        let text = |name: &str| read(&folder.path().join(name));
        let (stdout, stderr) = (text("stdout"), text("stderr"));
        let log = log_path(&folder);
        if read(&log).lines().last().is_some_and(|line| line.contains("\"trace.end\"")) {
            check_log(&[log]).with_context(|| said(&stdout, &stderr))?;
        }
        Ok((Ended { code: code(status), stdout, stderr, folder }, left))
    }

    fn said(&self) -> String {
        said(&self.stdout(), &self.stderr())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.settled {
            // It may have ended by itself just now.
            let _ = self.child.kill();
            let _ = self.child.wait();
            end_all(&self.tag);
        }
    }
}

/// How the conclusion begins that all is well, and no other.
pub const ALL_CLEAR: &str = "no child hangs";

/// Begins the result of a trace that found no hang, if one may be there all the same.
pub const NO_HANG: &str = "no hang found";

impl Ended {
    /// The log that it recorded.
    pub fn log(&self) -> PathBuf {
        log_path(&self.folder)
    }

    /// Whether it says that all is well.
    pub fn is_clear(&self) -> bool {
        self.stdout.contains(ALL_CLEAR)
    }

    /// Whether stdout has these words, wherever its lines are broken.
    pub fn prints(&self, words: &str) -> bool {
        one_line(&self.stdout).contains(words)
    }

    /// Both outputs, for a failure message.
    pub fn said(&self) -> String {
        said(&self.stdout, &self.stderr)
    }

    /// Fails unless it ended with this status.
    ///
    /// # Errors
    /// When it ended with another one.
    pub fn expect_code(&self, code: i32) -> Result<()> {
        ensure!(self.code == code, "exit status {} instead of {code}\n{}", self.code, self.said());
        Ok(())
    }

    /// Runs `forktrace report` on the log, without root where that can be dropped.
    ///
    /// # Errors
    /// When it fails.
    pub fn report(&self, flags: &[&str]) -> Result<Ended> {
        let log = self.log();
        let mut command = Vec::new();
        if crate::is_root() {
            std::os::unix::fs::chown(&log, Some(NOBODY), Some(NOBODY))?;
            std::os::unix::fs::chown(self.folder.path(), Some(NOBODY), Some(NOBODY))?;
            command = as_nobody();
        }
        command.extend([forktrace()?.display().to_string(), "report".into()]);
        command.push(log.display().to_string());
        command.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let ended = Job::start(&command, &[])?.wait(Duration::from_secs(30))?;
        ended.expect_code(0).context("forktrace report")?;
        Ok(ended)
    }
}

/// The words of a text, with one space between them.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Fails unless a log, or the parts of one, keeps what SCHEMA.md promises. Every whole log that a
/// job has recorded is checked at its end.
///
/// # Errors
/// What is wrong with it.
pub fn check_log(files: &[PathBuf]) -> Result<()> {
    let output = Command::new(forktrace()?).args(["report", "--check"]).args(files).output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let is_good = output.status.success();
    ensure!(is_good, "report --check {files:?}\n{told}{errors}{}", lines_of(&told));
    Ok(())
}

/// The lines of logs that problems (`file:number: …`) are about, since the logs will be gone.
fn lines_of(problems: &str) -> String {
    let line = |problem: &str| {
        let mut parts = problem.splitn(3, ':');
        let (file, number) = (parts.next()?, parts.next()?.parse::<usize>().ok()?);
        let text = read(Path::new(file));
        let line: String = text.lines().nth(number.checked_sub(1)?)?.chars().take(MOST).collect();
        Some(format!("{number}: {line}\n"))
    };
    problems.lines().filter_map(line).collect()
}

fn as_nobody() -> Vec<String> {
    let user = format!("--reuid={NOBODY}");
    let group = format!("--regid={NOBODY}");
    ["setpriv", &user, &group, "--clear-groups"].map(str::to_owned).to_vec()
}

fn said(stdout: &str, stderr: &str) -> String {
    format!("--- stdout\n{stdout}\n--- stderr\n{stderr}")
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// An exit status as a shell shows it.
fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// The living processes with this tag. Zombies have no environment and do not count.
fn tagged(tag: &str) -> Vec<u32> {
    let wanted = format!("{TAG}={tag}");
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &u32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == wanted.as_bytes()))
    })
    .collect()
}

/// Whether a process is of a job of this program.
pub fn is_of_a_job(pid: u32) -> bool {
    let ours = format!("{TAG}={}-", std::process::id());
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one.starts_with(ours.as_bytes())))
}

/// Makes this process the parent of all its descendants whose own parent has ended.
///
/// # Errors
/// When the kernel refuses.
pub fn adopt_orphans() -> Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

/// Kills all that is left of this process's descendants, after [`adopt_orphans`] and when no job is
/// under way: some programs overwrite the environment by which those of a job are recognised.
pub fn end_descendants() {
    let start = Instant::now();
    loop {
        // Killing a child makes its children this process's.
        for pid in children() {
            // Gone already is as good.
            let _ = kill(pid, Signal::SIGKILL);
            let _ = nix::sys::wait::waitpid(pid, None);
        }
        if children().is_empty() || start.elapsed() > GRACE {
            return;
        }
    }
}

fn children() -> Vec<Pid> {
    let mut pids = Vec::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        pids.extend(text.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw));
    }
    pids
}

/// Kills the processes with this tag, until there are none.
fn end_all(tag: &str) {
    let start = Instant::now();
    loop {
        let left = tagged(tag);
        if left.is_empty() || start.elapsed() > GRACE {
            return;
        }
        for pid in left.into_iter().filter_map(|pid| i32::try_from(pid).ok()) {
            // Gone already is as good.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        sleep(LOOK);
    }
}

//! `--on-finding`: a program that is run for each finding that is reported.
//!
//! There is no shell. The program gets the finding as JSON on stdin, has a time limit, and one runs at a
//! time, in the order of the findings.

use std::{
    fmt, io,
    io::Write as _,
    os::unix::process::CommandExt as _,
    process::{Child, Command, Stdio},
    str::FromStr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use super::{
    alert::Alert,
    journal::{Journal, Level},
    queue::{Counts, Queue, Taker},
    service::Exporter,
};

/// Findings that wait for the program, at most.
const BOUND: usize = 64;
/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(20);

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    words: Vec<String>,
}

impl FromStr for Program {
    type Err = String;

    /// Words are separated by spaces; nothing quotes one.
    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        match words.first().is_some_and(|program| program.starts_with('/')) {
            true => Ok(Program { words }),
            false => Err("use the whole path of a program; there is no shell".into()),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(" "))
    }
}

/// The program that gets findings.
#[derive(Clone, Debug)]
pub struct OnFinding(Queue<Arc<Alert>>);

impl Exporter for OnFinding {
    fn name(&self) -> &'static str {
        "command"
    }

    fn counts(&self) -> &Counts {
        self.0.counts()
    }

    fn report(&self, alert: &Arc<Alert>) {
        self.0.put(Arc::clone(alert));
    }
}

/// Starts the thread that runs a program.
///
/// # Errors
/// When there can be no further thread.
pub fn start(
    program: Program,
    limit: Duration,
    journal: Journal,
    counts: Arc<Counts>,
) -> io::Result<OnFinding> {
    let queue = Queue::start("on-finding", BOUND, counts, move |alerts: Taker<Arc<Alert>>| {
        while let Some(alert) = alerts.take() {
            let result = run(&program, &alert, limit);
            alerts.done(1, result.is_ok());
            if let Err(why) = result {
                journal.say(Level::Warning, format!("--on-finding {program}: {why}"));
            }
        }
    })?;
    Ok(OnFinding(queue))
}

/// Runs it once, to its end or to the limit.
fn run(program: &Program, alert: &Alert, limit: Duration) -> Result<(), String> {
    let json = serde_json::to_vec(alert).map_err(|error| error.to_string())?;
    run_with(program, json, limit)
}

fn run_with(program: &Program, json: Vec<u8>, limit: Duration) -> Result<(), String> {
    let Some((path, args)) = program.words.split_first() else { return Ok(()) };
    let mut child = Command::new(path)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        // Ends with all that it starts.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    let began = Instant::now();
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read its stdin must not outlast the limit.
        let writer = thread::Builder::new().name("on-finding-stdin".into());
        let written = writer.spawn(move || stdin.write_all(&json));
        if let Err(error) = written {
            end(&mut child);
            return Err(format!("no thread: {error}"));
        }
    }
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{status}")),
            Ok(None) if began.elapsed() < limit => thread::sleep(LOOK),
            Ok(None) => {
                end(&mut child);
                return Err(format!("ended after {limit:?}"));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn end(child: &mut Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        // It may have ended just now.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn program(text: &str) -> Program {
        text.parse().unwrap()
    }

    #[test]
    fn it_gets_json_and_no_shell() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let copy = program(&format!("/usr/bin/tee {}", out.display()));
        run_with(&copy, b"{\"x\":1}".to_vec(), Duration::from_secs(10)).unwrap();
        assert_eq!(std::fs::read(&out).unwrap(), b"{\"x\":1}");
        let text = "/bin/true ; /usr/bin/touch /nonexistent";
        assert_eq!(program(text).words.len(), 4);
        assert!("true".parse::<Program>().is_err() && "".parse::<Program>().is_err());
    }

    #[test]
    fn one_that_fails_or_hangs_or_does_not_read_ends() {
        let big = vec![b'x'; 1 << 20];
        let limit = Duration::from_millis(300);
        let why = |text: &str| run_with(&program(text), big.clone(), limit).unwrap_err();
        assert!(why("/bin/false").contains("exit status: 1"));
        assert!(why("/bin/sleep 60").contains("ended after 300ms"));
        assert!(why("/nonexistent/program").contains("cannot be started"));
    }
}

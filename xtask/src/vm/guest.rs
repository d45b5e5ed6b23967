//! One guest: QEMU with a kernel and the initramfs, and what it said.
//!
//! Emulation is slow by a factor of ten or more. The guest's clock therefore runs by the instructions
//! that it executes (`-icount shift=0`: one a nanosecond) and is put forward while it sleeps
//! (`sleep=off`), so that in its own time it is an ordinary machine, no threshold of a test need be
//! changed, how busy the host is does not matter, and waiting costs nothing.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::kernels::Kernel;

const MEMORY: &str = "2G";

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// Why it was not run.
    Skipped(String),
}

/// Tests that were run in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) label: String,
    /// By the names of the tests, in the order of their ends.
    pub(crate) tests: Vec<(String, Outcome)>,
    /// Exit status; `None`: it did not end.
    pub(crate) code: Option<i32>,
}

/// What a guest said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// The kernel's own name (`uname -r`).
    pub(crate) release: String,
    pub(crate) sections: Vec<Section>,
    /// What `forktrace doctor --json` printed.
    pub(crate) doctor: Option<serde_json::Value>,
    /// What the kernel complained of, which is not to happen.
    pub(crate) complaints: Vec<String>,
    /// It has come to the end of its plan.
    pub(crate) done: bool,
}

impl Told {
    /// Takes one more line in.
    fn line(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["==", "guest", release, ..] => self.release = (*release).to_owned(),
            ["==", "done", ..] => self.done = true,
            ["==", "kernel", complaint @ ..] => self.complaints.push(complaint.join(" ")),
            ["==", "section", label] => {
                self.sections.push(Section { label: (*label).to_owned(), ..Section::default() });
            }
            ["==", "end", _, code] => {
                if let Some(section) = self.sections.last_mut() {
                    section.code = code.parse().ok();
                }
            }
            ["test", .., "...", _] => self.test(line),
            _ if line.starts_with("{\"checks\"") => self.doctor = serde_json::from_str(line).ok(),
            _ => {}
        }
    }

    /// `test NAME ... ok`, or `test [skipped: REASON] NAME ... ignored`.
    fn test(&mut self, line: &str) {
        let Some((what, outcome)) = line.trim_start_matches("test ").rsplit_once(" ... ") else {
            return;
        };
        let (kind, name) = match what.rsplit_once("] ") {
            Some((kind, name)) => (kind.trim_start_matches("[skipped: "), name),
            None => ("", what),
        };
        let outcome = match outcome.trim() {
            "ok" => Outcome::Passed,
            "ignored" => Outcome::Skipped(kind.to_owned()),
            _ => Outcome::Failed,
        };
        if let Some(section) = self.sections.last_mut() {
            section.tests.push((name.trim().to_owned(), outcome));
        }
    }
}

/// Runs a guest to its end. All that it says is kept beside its kernel: `said`, and the kernel's own
/// messages in `messages`. It is ended after `limit` of the host's clock.
pub(crate) fn run(kernel: &Kernel, initramfs: &Path, limit: Duration) -> Result<Told> {
    let folder = kernel.image.parent().context("a kernel without a folder")?;
    let messages = folder.join("messages");
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-m", MEMORY])
        .args(["-icount", "shift=0,sleep=off", "-rtc", "clock=vm"])
        .arg("-serial")
        .arg(format!("file:{}", messages.display()))
        .args(["-serial", "stdio", "-kernel"])
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        // Without mitigations: they cost an emulated machine dear.
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(folder.join("qemu"))?);
    let mut child = qemu.spawn().context("running qemu-system-x86_64")?;
    let output = child.stdout.take().context("no output")?;
    let ended = Arc::new(AtomicBool::new(false));
    let watch = {
        let ended = Arc::clone(&ended);
        thread::spawn(move || {
            let start = Instant::now();
            while !ended.load(Ordering::Relaxed) && start.elapsed() < limit {
                thread::sleep(Duration::from_millis(200));
            }
            // A guest that ended by itself is only waited for.
            let _ = child.kill();
            child.wait()
        })
    };
    let mut told = Told::default();
    // Written as it comes, for who waits.
    let mut all = File::create(folder.join("said"))?;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        told.line(&line);
        writeln!(all, "{line}")?;
    }
    ended.store(true, Ordering::Relaxed);
    let _ = watch.join();
    Ok(told)
}

/// What the guest with this kernel said the last time.
pub(crate) fn said(kernel: &Kernel) -> Result<Told> {
    let said = kernel.image.with_file_name("said");
    let mut told = Told::default();
    fs::read_to_string(&said)
        .with_context(|| format!("reading {}", said.display()))?
        .lines()
        .for_each(|line| told.line(line));
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_says_is_understood() {
        let mut told = Told::default();
        let said = "== guest 5.10.0-46-cloud-amd64 up 3.1\n== section base\n\
                    test hang_a ... ok\ntest [skipped: no python3] hang_b ... ignored\n\
                    test quiet  ... FAILED\nsomething ... else\n== end base 101\n\
                    {\"checks\": []}\n== kernel oh no\n== done 12\n";
        said.lines().for_each(|line| told.line(line));
        let tests = vec![
            ("hang_a".to_owned(), Outcome::Passed),
            ("hang_b".to_owned(), Outcome::Skipped("no python3".into())),
            ("quiet".to_owned(), Outcome::Failed),
        ];
        let base = Section { label: "base".into(), tests, code: Some(101) };
        assert_eq!(told.sections, [base]);
        assert_eq!(told.release, "5.10.0-46-cloud-amd64");
        assert_eq!(told.complaints, ["oh no"]);
        assert!(told.done && told.doctor.is_some());
    }
}

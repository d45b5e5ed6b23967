//! The small programs that are traced: `tests/workloads`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::{Need, scratch};

/// The comment that marks the line at which a Python workload's child hangs.
const MARK: &str = "# hangs here";

/// The source file of a workload in C or Python.
pub fn source(program: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads").join(program)
}

/// What a workload needs, by its file name.
pub fn need(program: &str) -> Need {
    match program.rsplit_once('.') {
        Some((_, "py")) => Need::Python,
        Some((_, "rs")) => Need::Cargo,
        _ => Need::Cc,
    }
}

/// The command line that runs a workload (`name.c`, `name.py`, or `name.rs` of
/// `tests/workloads-rust`), compiled if need be.
///
/// # Errors
/// When it does not compile.
pub fn command(program: &str, args: &[&str]) -> Result<Vec<String>> {
    let mut command = match program.rsplit_once('.') {
        Some((_, "py")) => vec!["python3".to_owned(), source(program).display().to_string()],
        Some((name, "c")) => vec![compiled(name)?.display().to_string()],
        Some((name, "rs")) => vec![built(name)?.display().to_string()],
        _ => bail!("{program} is neither C nor Python nor Rust"),
    };
    command.extend(args.iter().map(|arg| (*arg).to_owned()));
    Ok(command)
}

fn compiled(name: &str) -> Result<PathBuf> {
    static DONE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    // Held while compiling, so that nobody runs half a file.
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = done.get(name) {
        return Ok(path.clone());
    }
    let path = scratch()?.join(name);
    let output = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-O1", "-pthread", "-o"])
        .arg(&path)
        .arg(source(&format!("{name}.c")))
        .output()
        .context("running cc")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    done.insert(name.to_owned(), path.clone());
    Ok(path)
}

/// A workload in Rust; all are built at the first call.
fn built(name: &str) -> Result<PathBuf> {
    static PROGRAMS: OnceLock<Result<Vec<PathBuf>, String>> = OnceLock::new();
    let build = || crate::build("forktrace-workloads").map_err(|error| format!("{error:#}"));
    let programs = PROGRAMS.get_or_init(build).as_ref().map_err(|error| anyhow!("{error}"))?;
    let program = programs.iter().find(|path| path.file_name().is_some_and(|file| file == name));
    program.cloned().with_context(|| format!("no program {name} was built"))
}

/// The number of the line at which a Python workload's child hangs.
///
/// # Errors
/// When no line is marked.
pub fn hanging_line(program: &str) -> Result<u64> {
    let text = fs::read_to_string(source(program))?;
    let line = text.lines().zip(1..).find(|(line, _)| line.ends_with(MARK));
    line.map(|(_, number)| number).with_context(|| format!("no line of {program} ends with {MARK}"))
}

/// What a workload said about itself: lines `name=number [number]` on its stdout.
#[derive(Clone, Debug, Default)]
pub struct Facts(BTreeMap<String, Vec<(u64, Option<u64>)>>);

impl Facts {
    /// Reads them out of an output that may hold other lines too.
    pub fn read(stdout: &str) -> Self {
        let mut facts = Facts::default();
        for line in stdout.lines() {
            let Some((name, values)) = line.split_once('=') else { continue };
            let mut numbers = values.split(' ').map(str::parse);
            let (Some(Ok(first)), second) = (numbers.next(), numbers.next()) else { continue };
            facts.0.entry(name.to_owned()).or_default().push((first, second.and_then(Result::ok)));
        }
        facts
    }

    /// The only value of a fact.
    ///
    /// # Errors
    /// When it was not said, or more than once.
    pub fn one(&self, name: &str) -> Result<u64> {
        match self.0.get(name).map(Vec::as_slice) {
            Some([(value, _)]) => Ok(*value),
            other => bail!("the workload said {name} not once but {other:?}"),
        }
    }

    /// All values of a fact.
    pub fn all(&self, name: &str) -> impl Iterator<Item = u64> {
        self.timed(name).map(|(value, _)| value)
    }

    /// All values of a fact with the times that were said (`CLOCK_BOOTTIME`, ns).
    pub fn timed(&self, name: &str) -> impl Iterator<Item = (u64, Option<u64>)> {
        self.0.get(name).into_iter().flatten().copied()
    }
}

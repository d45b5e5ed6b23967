//! The small programs that are traced: `tests/workloads`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{Need, scratch};

/// The comment that marks the line at which a Python workload's child hangs.
const MARK: &str = "# hangs here";

/// The source file of a workload.
pub fn source(program: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads").join(program)
}

/// What a workload needs, by its file name.
pub fn need(program: &str) -> Need {
    if program.ends_with(".py") { Need::Python } else { Need::Cc }
}

/// The command line that runs a workload (`name.c` or `name.py`), compiled if need be.
///
/// # Errors
/// When it does not compile.
pub fn command(program: &str, args: &[&str]) -> Result<Vec<String>> {
    let mut command = match program.rsplit_once('.') {
        Some((_, "py")) => vec!["python3".to_owned(), source(program).display().to_string()],
        Some((name, "c")) => vec![compiled_with(program, name, &["-O1"])?.display().to_string()],
        _ => bail!("{program} is neither C nor Python"),
    };
    command.extend(args.iter().map(|arg| (*arg).to_owned()));
    Ok(command)
}

/// A workload in C, compiled once with these flags beside the usual ones, under a name of its own.
///
/// # Errors
/// When it does not compile.
pub fn compiled_with(program: &str, name: &str, flags: &[&str]) -> Result<PathBuf> {
    static DONE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    // Held while compiling, so that nobody runs half a file.
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = done.get(name) {
        return Ok(path.clone());
    }
    let path = scratch()?.join(name);
    let output = Command::new("cc")
        .args(["-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(&path)
        .args(flags)
        .arg(source(program))
        .output()
        .context("running cc")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    done.insert(name.to_owned(), path.clone());
    Ok(path)
}

/// The number of the line at which a Python workload's child hangs.
///
/// # Errors
/// When no line is marked.
pub fn hanging_line(program: &str) -> Result<u64> {
    marked_line(program, MARK)
}

/// The number of the line that ends with a mark.
///
/// # Errors
/// When there is none.
pub fn marked_line(program: &str, mark: &str) -> Result<u64> {
    let text = fs::read_to_string(source(program))?;
    let line = text.lines().zip(1..).find(|(line, _)| line.ends_with(mark));
    line.map(|(_, number)| number).with_context(|| format!("no line of {program} ends with {mark}"))
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

//! End-to-end tests of forktrace on a real kernel: how they are run, skipped and summed up.
//!
//! `FORKTRACE_BIN` names a forktrace to test instead of one built here; with
//! `FORKTRACE_TESTS_NO_SKIP=1` a test that lacks something fails instead of being skipped;
//! `FORKTRACE_TESTS_PICTURES` names a folder in which the tests of pages keep pictures of them;
//! `FORKTRACE_TESTS_BUILT` one with the workloads compiled already, by the program `workloads`, for a
//! machine without compilers; `FORKTRACE_TESTS_ROOT` a root folder in which those of glibc run;
//! `FORKTRACE_TESTS_ONLY` the tests to run, with commas between; `FORKTRACE_TESTS_SKIPPED` a file in
//! which what several test programs skip is added up; and with `FORKTRACE_TESTS_VM=1` there
//! are tests that change the machine, for one that was made for them (`cargo xtask test --vm`).

mod again;
pub mod browser;
pub mod corpus;
mod left_out;
pub mod log;
mod need;
pub mod pythons;
pub mod run;
mod skips;
pub mod workload;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use libtest_mimic::{Arguments, Trial};

pub use again::FalseAlarm;
pub use need::{Install, Missing, Need, cgroup2};
use skips::Skips;

/// Whether this process may do everything.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether the machine was made for tests that change it.
pub fn machine_is_ours() -> bool {
    std::env::var_os("FORKTRACE_TESTS_VM").is_some_and(|value| value == "1")
}

/// The python3 that may have packages of PyPI: `FORKTRACE_TESTS_PYTHON`, or the one that
/// `cargo xtask pythons` made.
pub fn reading_python() -> OsString {
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python");
    let python = || if made.exists() { made.into() } else { "python3".into() };
    std::env::var_os("FORKTRACE_TESTS_PYTHON").unwrap_or_else(python)
}

/// The cargo that runs these tests, or the one that is found.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The forktrace to test, in a folder where every user may run it. Built at the first call.
///
/// # Errors
/// When it cannot be built or copied.
pub fn forktrace() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let copy = || -> Result<PathBuf> {
        let built = match std::env::var_os("FORKTRACE_BIN") {
            Some(path) => PathBuf::from(path),
            None => build("forktrace")?
                .into_iter()
                .next()
                .context("cargo did not say where the program is")?,
        };
        let copy = scratch()?.join("forktrace");
        workload::install(&built, &copy, 0o755)?;
        Ok(copy)
    };
    match BINARY.get_or_init(|| copy().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => Err(anyhow!(error.clone())),
    }
}

/// Lets cargo build a package's programs, and say where they are.
fn build(package: &str) -> Result<Vec<PathBuf>> {
    let output = Command::new(cargo())
        .args(["build", "--quiet", "-p", package, "--bins"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .context("running cargo")?;
    ensure!(output.status.success(), "{package} does not build");
    let mut programs = Vec::new();
    for line in output.stdout.split(|byte| *byte == b'\n') {
        let Ok(message) = serde_json::from_slice::<serde_json::Value>(line) else { continue };
        let is_binary = message.pointer("/target/kind/0").is_some_and(|kind| kind == "bin");
        if let Some(path) = message.get("executable").and_then(|path| path.as_str())
            && is_binary
        {
            programs.push(path.into());
        }
    }
    Ok(programs)
}

/// The folder of this test program's files, readable by every user; removed by [`clean_up`].
fn scratch() -> Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let make = || -> Result<PathBuf> {
        let folder = tempfile::Builder::new().prefix("forktrace-tests-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let path = folder.keep();
        *SCRATCH.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.clone());
        Ok(path)
    };
    match FOLDER.get_or_init(|| make().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => Err(anyhow!(error.clone())),
    }
}

static SCRATCH: Mutex<Option<PathBuf>> = Mutex::new(None);
/// Tests that are skipped, by name, and what each lacks.
static SKIPPED: Mutex<Vec<(String, Vec<Missing>)>> = Mutex::new(Vec::new());

/// One test; skipped, and counted as that, when it lacks something.
pub fn trial(
    name: impl Into<String>,
    needs: &[Need],
    test: impl Fn() -> Result<()> + Send + 'static,
) -> Trial {
    let name = name.into();
    if !is_chosen(&name) {
        // It is left out again: what it needs is not looked for.
        return Trial::test(name, || Ok(()));
    }
    let missing: Vec<_> = needs.iter().filter_map(|need| need.known_missing()).collect();
    let no_skip = std::env::var_os("FORKTRACE_TESTS_NO_SKIP").is_some_and(|value| value == "1");
    let Some(first) = missing.first() else {
        let run = {
            let name = name.clone();
            move || {
                let once = || left_out::again_if_left_out(&name, &test);
                again::alone_if_it_fails(&name, once)
            }
        };
        return Trial::test(name, move || run().map_err(|error| format!("{error:#}").into()));
    };
    let fails = format!("may not be skipped, but cannot run: {first}");
    let trial = Trial::test(name.clone(), move || Err(fails.into()));
    if no_skip {
        return trial;
    }
    let kind = format!("skipped: {first}");
    SKIPPED.lock().unwrap_or_else(PoisonError::into_inner).push((name, missing));
    trial.with_kind(kind).with_ignored_flag(true)
}

/// Runs the tests, six at a time (they mostly wait) unless the command line says otherwise. At the
/// end, one line says what was skipped, why, and the command that installs what is missing.
pub fn conclude(trials: impl FnOnce() -> Vec<Trial>) -> ExitCode {
    // First: a mistake on the command line, or `--help`, ends the process here.
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(6);
    let trials = match chosen(trials()) {
        Ok(trials) => trials,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let skips = skips(&arguments, &trials);
    let conclusion = libtest_mimic::run(&arguments, trials);
    let mut code = conclusion.exit_code();
    if !arguments.list {
        println!("{}", skips.line());
        let again = again::told();
        again.iter().for_each(|told| println!("{told}"));
        let file = std::env::var_os("FORKTRACE_TESTS_SKIPPED").map(PathBuf::from);
        if let Some(Err(error)) = file.map(|file| skips.add_to(again, &file)) {
            eprintln!("what was skipped could not be kept: {error:#}");
            code = ExitCode::FAILURE;
        }
    }
    clean_up();
    code
}

/// The tests that are skipped, of those that the command line asks for.
fn skips(arguments: &Arguments, trials: &[Trial]) -> Skips {
    let mut skips = Skips::default();
    let skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    // The command line may ask for them all the same.
    let left_out = |trial: &&Trial| {
        let run_anyway = arguments.ignored || arguments.include_ignored;
        trial.has_ignored_flag() && !run_anyway && !arguments.is_filtered_out(trial)
    };
    for trial in trials.iter().filter(left_out) {
        let missing = skipped.iter().find(|(name, _)| name == trial.name());
        missing.into_iter().for_each(|(_, missing)| skips.add(missing));
    }
    skips
}

/// The tests that `FORKTRACE_TESTS_ONLY` names, if it is set.
fn only() -> Option<&'static BTreeSet<String>> {
    static ONLY: OnceLock<Option<BTreeSet<String>>> = OnceLock::new();
    let read = || {
        let names = std::env::var("FORKTRACE_TESTS_ONLY").ok()?;
        Some(names.split(',').map(str::to_owned).collect())
    };
    ONLY.get_or_init(read).as_ref()
}

fn is_chosen(name: &str) -> bool {
    only().is_none_or(|only| only.contains(name))
}

/// Those that are named, or all.
fn chosen(mut trials: Vec<Trial>) -> Result<Vec<Trial>> {
    for name in only().into_iter().flatten() {
        ensure!(trials.iter().any(|trial| trial.name() == name), "there is no test {name}");
    }
    trials.retain(|trial| is_chosen(trial.name()));
    Ok(trials)
}

/// Removes this program's files.
pub fn clean_up() {
    if let Some(folder) = SCRATCH.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Nothing depends on it: it lies where the system keeps temporary files.
        let _ = fs::remove_dir_all(folder);
    }
}

//! End-to-end tests of forktrace on a real kernel: how they are run, skipped and summed up.
//!
//! `FORKTRACE_BIN` names a forktrace to test instead of one built here; with
//! `FORKTRACE_TESTS_NO_SKIP=1` a test that lacks something fails instead of being skipped;
//! `FORKTRACE_TESTS_PICTURES` names a folder in which the tests of pages keep pictures of them;
//! `FORKTRACE_TESTS_BUILT` one with the workloads compiled already, by the program `workloads`, for a
//! machine without compilers; `FORKTRACE_TESTS_ROOT` a root folder in which those of glibc run;
//! `FORKTRACE_TESTS_ONLY` the tests to run, with commas between; and with `FORKTRACE_TESTS_VM=1` there
//! are tests that change the machine, for one that was made for them (`cargo xtask test --vm`).

pub mod browser;
pub mod corpus;
mod left_out;
pub mod log;
pub mod pythons;
pub mod run;
pub mod workload;

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use libtest_mimic::{Arguments, Trial};

/// What a test cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Root.
    Root,
    /// Root, and a kernel that lets forktrace load its programs.
    Tracing,
    /// Root, and a kernel whose count of page faults can run programs.
    FaultEvents,
    /// A C compiler.
    Cc,
    /// A C++ compiler.
    Cxx,
    /// A C compiler that links with musl.
    Musl,
    /// Any python3 that runs the workloads.
    Python,
    /// A python3 whose `threading` locks are semaphores: up to 3.12, and 3.13.0.
    SemaphorePython,
    /// A python3 whose frames are read in all detail: 3.11.
    FramesOfPython,
    /// A Python of another version, in a root folder of its own.
    Rooted(pythons::Rooted),
    /// Cargo, to build the workloads in Rust.
    Cargo,
    /// `setpriv`, to drop root.
    Setpriv,
    /// `unshare`, for a namespace.
    Unshare,
    /// A file with an ext4 file system in it, and a loop device to mount it by.
    Ext4,
    /// `setcap`, to give a file capabilities.
    Setcap,
    /// FUSE, to be a file system.
    Fuse,
    /// A C compiler that makes 32-bit programs, and a kernel that runs them.
    Narrow,
    /// `pivot_root`, for a root of its own.
    PivotRoot,
    /// `bpftool`, to ask the kernel what is loaded.
    Bpftool,
    /// A hierarchy of cgroups of version 2 in which a group can be made.
    Cgroup2,
    /// A kernel with this tracepoint.
    Tracepoint(&'static str),
    /// A kernel that shows which pages were written since a fork.
    PagesSinceFork,
    /// A kernel with Landlock at work.
    Landlock,
    /// Chromium.
    Browser,
    /// A python3 that can read what is exported: with this package of PyPI.
    Reader(&'static str),
}

impl Need {
    /// The same as [`Need::missing`], looked for once.
    fn known_missing(self) -> Option<String> {
        static KNOWN: Mutex<Vec<(Need, Option<String>)>> = Mutex::new(Vec::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = known.iter().find(|(need, _)| *need == self) {
            return answer.clone();
        }
        let answer = self.missing();
        known.push((self, answer.clone()));
        answer
    }

    /// Why it is not there, or `None` if it is.
    pub fn missing(self) -> Option<String> {
        match self {
            Need::Root => (!is_root()).then(|| "not root".into()),
            Need::Tracing => Need::Root.missing().or_else(cannot_trace),
            Need::FaultEvents => Need::Tracing.missing().or_else(no_fault_events),
            Need::Cc | Need::Cxx | Need::Musl | Need::Cargo
                if workload::prebuilt_folder().is_some() =>
            {
                None
            }
            Need::Cc => not_found("cc"),
            Need::Cxx => not_found("g++"),
            Need::Musl => not_found("musl-gcc"),
            Need::Python => not_found("python3"),
            Need::SemaphorePython => Need::Python.missing().or_else(other_python_locks),
            Need::FramesOfPython => Need::Python.missing().or_else(other_python_frames),
            Need::Rooted(python) => python.missing(),
            Need::Cargo => not_found(cargo()),
            Need::Setpriv => not_found("setpriv"),
            Need::Unshare => not_found("unshare"),
            Need::Ext4 => not_found("losetup").or_else(no_ext4),
            Need::Setcap => not_there("setcap", &["-h"]),
            Need::Fuse => (!Path::new("/dev/fuse").exists()).then(|| "no /dev/fuse".into()),
            Need::Narrow => Need::Cc.missing().or_else(no_narrow),
            Need::PivotRoot => Need::Unshare.missing().or_else(|| not_found("pivot_root")),
            Need::Bpftool => not_found("bpftool"),
            Need::Cgroup2 => Need::Root.missing().or_else(no_cgroup2),
            Need::Tracepoint(event) => no_tracepoint(event),
            Need::PagesSinceFork => Need::Root.missing().or_else(no_pages_since_fork),
            Need::Landlock => {
                Need::Root.missing().or_else(|| Need::Cc.missing()).or_else(no_landlock)
            }
            Need::Browser => browser::program().is_none().then(|| "no chromium".into()),
            Need::Reader(package) => Need::Python.missing().or_else(|| no_package(package)),
        }
    }
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn not_found(program: impl AsRef<OsStr>) -> Option<String> {
    not_there(program, &["--version"])
}

fn not_there(program: impl AsRef<OsStr>, args: &[&str]) -> Option<String> {
    let program = program.as_ref();
    let output = Command::new(program).args(args).output();
    let found = output.is_ok_and(|output| output.status.success());
    (!found).then(|| format!("no {}", program.display()))
}

fn no_ext4() -> Option<String> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !known.lines().any(|line| line.trim() == "ext4") {
        return Some("no ext4".into());
    }
    // Without arguments it says how it is used, and fails.
    let made = Command::new("mkfs.ext4").output().map(drop).err();
    made.map(|error| format!("no mkfs.ext4 ({error})"))
        .or_else(|| fs::metadata("/dev/loop-control").err().map(|_| "no loop devices".into()))
}

/// Tries it once.
fn no_narrow() -> Option<String> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    let runs = || -> Result<bool> {
        let program = workload::narrow()?;
        Ok(Command::new(program).arg("at once").status()?.success())
    };
    let missing = || (!runs().unwrap_or(false)).then(|| "no 32-bit programs".into());
    MISSING.get_or_init(missing).clone()
}

/// Tries it once.
fn no_landlock() -> Option<String> {
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    let runs = || -> Result<bool> {
        let command = workload::command("landlocked.c", &["true"])?;
        let (program, args) = command.split_first().context("empty command line")?;
        Ok(Command::new(program).args(args).output()?.status.success())
    };
    let missing = || (!runs().unwrap_or(false)).then(|| format!("{NOT_HERE}no Landlock"));
    MISSING.get_or_init(missing).clone()
}

/// Where cgroups of version 2 are mounted.
pub fn cgroup2() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind) = (words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(place))
    })
}

fn no_cgroup2() -> Option<String> {
    let Some(root) = cgroup2() else { return Some("no cgroup2 is mounted".into()) };
    let group = root.join(format!("forktrace-tests-{}", std::process::id()));
    let made = fs::create_dir(&group);
    // Only if it was made.
    let _ = fs::remove_dir(&group);
    made.err().map(|error| format!("no group can be made in {}: {error}", root.display()))
}

/// How a reason begins that lies in the kernel alone: on another one the test can run (`xtask/src/vm`
/// counts those apart).
const NOT_HERE: &str = "not on this kernel: ";

/// Mounts tracefs for the look alone, where nobody has mounted it.
fn no_tracepoint(event: &str) -> Option<String> {
    let script = "at=/sys/kernel/tracing; [ -e $at/events ] || mount -t tracefs tracefs $at || exit 2; \
                  [ -e $at/events/$1 ]";
    let looked = Command::new("unshare").args(["-m", "sh", "-c", script, "sh", event]).output();
    match looked.ok().and_then(|output| output.status.code()) {
        Some(0) => None,
        Some(1) => Some(format!("{NOT_HERE}it has no tracepoint {event}")),
        _ => Some("tracefs cannot be mounted".into()),
    }
}

/// `PageAnonExclusive`, from Linux 5.19 on: a page of one's own, just written, has it (bit 34 of
/// `/proc/kpageflags`; `include/linux/kernel-page-flags.h`).
fn no_pages_since_fork() -> Option<String> {
    const PAGE: usize = 4096;
    let own = std::hint::black_box(vec![1_u8; 2 * PAGE]);
    let number = |file: &str, index: u64| -> std::io::Result<u64> {
        let mut bytes = [0; 8];
        fs::File::open(file)?.read_exact_at(&mut bytes, index * 8)?;
        Ok(u64::from_ne_bytes(bytes))
    };
    let page = own.as_ptr().addr().div_ceil(PAGE);
    let frame = number("/proc/self/pagemap", page as u64).map(|entry| entry & ((1 << 55) - 1));
    let flags = frame.and_then(|frame| number("/proc/kpageflags", frame));
    std::hint::black_box(&own);
    let shown = match flags {
        Ok(flags) => flags & 1 << 34 != 0,
        Err(error) => return Some(format!("page frames are not shown ({error})")),
    };
    (!shown).then(|| {
        format!("{NOT_HERE}/proc/kpageflags does not show which pages were written since a fork")
    })
}

/// Whether the machine was made for tests that change it.
pub fn machine_is_ours() -> bool {
    std::env::var_os("FORKTRACE_TESTS_VM").is_some_and(|value| value == "1")
}

/// The python3 that may have packages which read exports: `FORKTRACE_TESTS_PYTHON`, of a virtual
/// environment for example.
pub fn reading_python() -> OsString {
    std::env::var_os("FORKTRACE_TESTS_PYTHON").unwrap_or_else(|| "python3".into())
}

fn no_package(name: &str) -> Option<String> {
    let output = Command::new(reading_python()).args(["-c", &format!("import {name}")]).output();
    let found = output.is_ok_and(|output| output.status.success());
    (!found).then(|| format!("no {name} in python3 (pip install {name}; FORKTRACE_TESTS_PYTHON)"))
}

/// The cargo that runs these tests, or the one that is found.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn cannot_trace() -> Option<String> {
    static ANSWER: OnceLock<Option<String>> = OnceLock::new();
    let try_it = || {
        let binary = forktrace().ok()?;
        let output = Command::new(binary).args(["-q", "--", "true"]).output().ok()?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        (output.status.code() == Some(3)).then_some(said)
    };
    ANSWER.get_or_init(try_it).clone()
}

fn no_fault_events() -> Option<String> {
    let mut command = Command::new(forktrace().ok()?);
    let said = command.args(["-q", "--fault-events", "--", "true"]).output().ok()?.stderr;
    let off = String::from_utf8_lossy(&said).contains("pages of children are not saved");
    off.then(|| format!("{NOT_HERE}counted page faults run no programs before Linux 6.1"))
}

fn other_python_locks() -> Option<String> {
    let version = python_version()?;
    let words = version.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    (version > vec![3, 13, 0]).then(|| format!("python3 is {words}, whose locks are no semaphores"))
}

fn other_python_frames() -> Option<String> {
    let version = python_version()?;
    let is_known = version.starts_with(&[3, 11]);
    (!is_known).then(|| "python3 is another than 3.11, whose frames are not known".into())
}

/// This machine's Python.
fn python_version() -> Option<Vec<u32>> {
    static ANSWER: OnceLock<Option<Vec<u32>>> = OnceLock::new();
    let ask = || {
        let code = "import sys; print(*sys.version_info[:3])";
        let output = Command::new("python3").args(["-c", code]).output().ok()?;
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(version.split_whitespace().filter_map(|part| part.parse().ok()).collect())
    };
    ANSWER.get_or_init(ask).clone()
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
static SKIPPED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

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
    let missing = needs.iter().find_map(|need| need.known_missing());
    let no_skip = std::env::var_os("FORKTRACE_TESTS_NO_SKIP").is_some_and(|value| value == "1");
    let Some(missing) = missing else {
        let run = {
            let name = name.clone();
            move || left_out::again_if_left_out(&name, test)
        };
        return Trial::test(name, move || run().map_err(|error| format!("{error:#}").into()));
    };
    let fails = format!("may not be skipped, but cannot run: {missing}");
    let trial = Trial::test(name, move || Err(fails.into()));
    if no_skip {
        return trial;
    }
    SKIPPED.lock().unwrap_or_else(PoisonError::into_inner).insert(missing.clone());
    trial.with_kind(format!("skipped: {missing}")).with_ignored_flag(true)
}

/// Runs the tests, six at a time (they mostly wait) unless the command line says otherwise, and says what was skipped.
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
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        let reasons = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
        let reasons: Vec<&str> = reasons.iter().map(String::as_str).collect();
        match conclusion.num_ignored {
            0 => println!("skipped: 0"),
            skipped => println!("skipped: {skipped} ({})", reasons.join("; ")),
        }
        left_out::done_again().iter().for_each(|told| println!("{told}"));
    }
    clean_up();
    conclusion.exit_code()
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

//! What tests need of a machine: how it is looked for, and what brings it where it is missing.

use std::{
    ffi::OsStr,
    fmt, fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::{Context as _, Result};

use crate::{cargo, forktrace, is_root, pythons, reading_python, workload};

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
    /// A library that pkg-config knows by this name, and what compiles with it.
    Library(&'static str),
    /// Perl.
    Perl,
    /// PHP, with processes.
    Php,
    /// Ruby.
    Ruby,
    /// PostgreSQL's server.
    Postgres,
    /// Redis's server.
    Redis,
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
    /// `promtool` of Prometheus.
    Promtool,
    /// Helm, which Debian does not have.
    Helm,
    /// A `systemd-analyze` that judges a unit without running it.
    SystemdAnalyze,
    /// A python3 that has this package of PyPI.
    Reader(&'static str),
}

/// Something that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Why the test cannot run, in a few words.
    pub why: String,
    /// What has to be installed; empty if nothing that is installed would help.
    pub install: Vec<Install>,
}

/// What brings something that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// This package of Debian.
    Package(&'static str),
    /// `cargo xtask pythons`.
    Pythons,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Need {
    /// Like [`Need::missing`], but looks only once.
    pub(crate) fn known_missing(self) -> Option<Missing> {
        static KNOWN: Mutex<Vec<(Need, Option<Missing>)>> = Mutex::new(Vec::new());
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = known.iter().find(|(need, _)| *need == self) {
            return answer.clone();
        }
        let answer = self.missing();
        known.push((self, answer.clone()));
        answer
    }

    /// What is not there, or `None` if all is.
    pub fn missing(self) -> Option<Missing> {
        match self {
            Need::Root => (!is_root()).then(|| lacks("not root (`cargo xtask test` runs as root)")),
            Need::Tracing => Need::Root.missing().or_else(cannot_trace),
            Need::FaultEvents => Need::Tracing.missing().or_else(no_fault_events),
            Need::Cc | Need::Cxx | Need::Musl | Need::Cargo
                if workload::prebuilt_folder().is_some() =>
            {
                None
            }
            Need::Cc => not_found("cc", &["gcc", "libc6-dev"]),
            Need::Cxx => not_found("g++", &["g++"]),
            Need::Musl => not_found("musl-gcc", &["musl-tools"]),
            Need::Library(name) => no_library(name),
            Need::Perl => not_found("perl", &["perl"]),
            Need::Php => not_found("php", &["php-cli"]),
            Need::Ruby => not_found("ruby", &["ruby"]),
            Need::Postgres => no_postgres(),
            Need::Redis => not_found("redis-server", &["redis-server"]),
            Need::Python => not_found("python3", &["python3"]),
            Need::SemaphorePython => Need::Python.missing().or_else(other_python_locks),
            Need::FramesOfPython => Need::Python.missing().or_else(other_python_frames),
            Need::Rooted(python) => python.missing(),
            Need::Cargo => not_found(cargo(), &[]),
            Need::Setpriv => not_found("setpriv", &["util-linux"]),
            Need::Unshare => not_found("unshare", &["util-linux"]),
            Need::Ext4 => not_found("losetup", &["mount"]).or_else(no_ext4),
            Need::Setcap => not_there("setcap", &["-h"], &["libcap2-bin"]),
            Need::Fuse => (!Path::new("/dev/fuse").exists()).then(|| lacks("no /dev/fuse")),
            Need::Narrow => Need::Cc.missing().or_else(no_narrow),
            Need::PivotRoot => {
                Need::Unshare.missing().or_else(|| not_found("pivot_root", &["util-linux"]))
            }
            Need::Bpftool => not_found("bpftool", &["bpftool"]),
            Need::Cgroup2 => Need::Root.missing().or_else(no_cgroup2),
            Need::Tracepoint(event) => no_tracepoint(event),
            Need::PagesSinceFork => Need::Root.missing().or_else(no_pages_since_fork),
            Need::Landlock => {
                Need::Root.missing().or_else(|| Need::Cc.missing()).or_else(no_landlock)
            }
            Need::Browser => crate::browser::program().is_none().then(|| Missing {
                why: "no chromium".into(),
                install: vec![Install::Package("chromium")],
            }),
            Need::Helm => not_there("helm", &["version"], &[]),
            Need::SystemdAnalyze => not_found("systemd-analyze", &["systemd"]),
            Need::Promtool => not_found("promtool", &["prometheus"]),
            Need::Reader(package) => Need::Python.missing().or_else(|| no_package(package)),
        }
    }
}

/// Something that no package brings.
pub(crate) fn lacks(why: impl Into<String>) -> Missing {
    Missing { why: why.into(), install: Vec::new() }
}

/// A program that some of Debian's packages bring.
pub(crate) fn not_found(program: impl AsRef<OsStr>, packages: &[&'static str]) -> Option<Missing> {
    not_there(program, &["--version"], packages)
}

fn not_there(
    program: impl AsRef<OsStr>,
    args: &[&str],
    packages: &[&'static str],
) -> Option<Missing> {
    let program = program.as_ref();
    let output = Command::new(program).args(args).output();
    let found = output.is_ok_and(|output| output.status.success());
    (!found).then(|| Missing {
        why: format!("no {}", program.display()),
        install: packages.iter().copied().map(Install::Package).collect(),
    })
}

/// Looks for a library by its name in pkg-config.
fn no_library(name: &'static str) -> Option<Missing> {
    let output = Command::new("pkg-config").args(["--exists", name]).output();
    if output.is_ok_and(|output| output.status.success()) {
        return Need::Cxx.missing();
    }
    let package = match name {
        "gio-2.0" => "libglib2.0-dev",
        "log4cplus" => "liblog4cplus-dev",
        "nanomsg" => "libnanomsg-dev",
        other => other,
    };
    let install = ["g++", "pkg-config", package].map(Install::Package).to_vec();
    Some(Missing { why: format!("no {name}"), install })
}

fn no_ext4() -> Option<Missing> {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    if !known.lines().any(|line| line.trim() == "ext4") {
        return Some(lacks("no ext4"));
    }
    // Without arguments it says how it is used, and fails.
    if let Err(error) = Command::new("mkfs.ext4").output() {
        let install = vec![Install::Package("e2fsprogs")];
        return Some(Missing { why: format!("no mkfs.ext4 ({error})"), install });
    }
    fs::metadata("/dev/loop-control").err().map(|_| lacks("no loop devices"))
}

/// Tries it once.
fn no_narrow() -> Option<Missing> {
    static MISSING: OnceLock<Option<Missing>> = OnceLock::new();
    let runs = || -> Result<bool> {
        let program = workload::narrow()?;
        Ok(Command::new(program).arg("at once").status()?.success())
    };
    let missing = || (!runs().unwrap_or(false)).then(|| lacks("no 32-bit programs"));
    MISSING.get_or_init(missing).clone()
}

/// Tries it once.
fn no_landlock() -> Option<Missing> {
    static MISSING: OnceLock<Option<Missing>> = OnceLock::new();
    let runs = || -> Result<bool> {
        let command = workload::command("landlocked.c", &["true"])?;
        let (program, args) = command.split_first().context("empty command line")?;
        Ok(Command::new(program).args(args).output()?.status.success())
    };
    let missing = || (!runs().unwrap_or(false)).then(|| not_here("no Landlock"));
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

fn no_cgroup2() -> Option<Missing> {
    let Some(root) = cgroup2() else { return Some(lacks("no cgroup2 is mounted")) };
    let group = root.join(format!("forktrace-tests-{}", std::process::id()));
    let made = fs::create_dir(&group);
    // Only if it was made.
    let _ = fs::remove_dir(&group);
    made.err().map(|error| lacks(format!("no group can be made in {}: {error}", root.display())))
}

/// Something that the kernel lacks: on another one the test can run. `xtask/src/vm` counts those
/// apart, by how the reason begins.
fn not_here(why: &str) -> Missing {
    lacks(format!("not on this kernel: {why}"))
}

/// Mounts tracefs for the look alone, where nobody has mounted it.
/// Debian has the programs of each version in a folder of its own, beside the client's library.
fn no_postgres() -> Option<Missing> {
    let mut versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let is_there = versions.any(|version| version.path().join("bin/initdb").exists());
    (!is_there).then(|| Missing {
        why: "no PostgreSQL".into(),
        install: vec![Install::Package("postgresql")],
    })
}

fn no_tracepoint(event: &str) -> Option<Missing> {
    let script = "at=/sys/kernel/tracing; [ -e $at/events ] || mount -t tracefs tracefs $at || exit 2; \
                  [ -e $at/events/$1 ]";
    let looked = Command::new("unshare").args(["-m", "sh", "-c", script, "sh", event]).output();
    match looked.ok().and_then(|output| output.status.code()) {
        Some(0) => None,
        Some(1) => Some(not_here(&format!("it has no tracepoint {event}"))),
        _ => Some(lacks("tracefs cannot be mounted")),
    }
}

/// `PageAnonExclusive`, from Linux 5.19 on: a page of one's own, just written, has it (bit 34 of
/// `/proc/kpageflags`; `include/linux/kernel-page-flags.h`).
fn no_pages_since_fork() -> Option<Missing> {
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
        Err(error) => return Some(lacks(format!("page frames are not shown ({error})"))),
    };
    (!shown)
        .then(|| not_here("/proc/kpageflags does not show which pages were written since a fork"))
}

fn no_package(name: &str) -> Option<Missing> {
    let has = |module: &str| {
        let import = format!("import {module}");
        let output = Command::new(reading_python()).args(["-c", &import]).output();
        output.is_ok_and(|output| output.status.success())
    };
    if has(name) {
        return None;
    }
    // Debian has that part of Python in a package of its own.
    let venv = (!has("ensurepip")).then_some(Install::Package("python3-venv"));
    let install = venv.into_iter().chain([Install::Pythons]).collect();
    Some(Missing { why: format!("no {name} in python3"), install })
}

fn cannot_trace() -> Option<Missing> {
    static ANSWER: OnceLock<Option<String>> = OnceLock::new();
    let try_it = || {
        let binary = forktrace().ok()?;
        let output = Command::new(binary).args(["-q", "--", "true"]).output().ok()?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        (output.status.code() == Some(3)).then_some(said)
    };
    ANSWER.get_or_init(try_it).clone().map(lacks)
}

fn no_fault_events() -> Option<Missing> {
    let mut command = Command::new(forktrace().ok()?);
    let said = command.args(["-q", "--fault-events", "--", "true"]).output().ok()?.stderr;
    let off = String::from_utf8_lossy(&said).contains("pages of children are not saved");
    off.then(|| not_here("counted page faults run no programs before Linux 6.1"))
}

fn other_python_locks() -> Option<Missing> {
    let version = python_version()?;
    let words = version.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    (version > vec![3, 13, 0])
        .then(|| lacks(format!("python3 is {words}, whose locks are no semaphores")))
}

fn other_python_frames() -> Option<Missing> {
    let version = python_version()?;
    let is_known = version.starts_with(&[3, 11]);
    (!is_known).then(|| lacks("python3 is another than 3.11, whose frames are not known"))
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

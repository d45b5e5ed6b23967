//! Pythons for the tests. Those of other versions than this machine's are Debian's: each is put into a
//! root folder of its own, `target/pythons/VERSION`, where `chroot` runs it. One with packages of PyPI
//! is a virtual environment, `target/python`.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{is_root, root, status};

/// Packages of PyPI that read exports, and those that workloads import.
const PACKAGES: [&str; 13] = [
    "duckdb==2.0.1",
    "perfetto==0.59.1",
    "confluent-kafka==2.16.1",
    "fsspec==2026.9.0",
    "grpcio==1.85.3",
    "kubernetes-validate==1.37.0",
    "numpy==2.4.6",
    "opentelemetry-proto==1.45.2",
    "opentelemetry-sdk==1.45.2",
    "pymongo==4.20.1",
    "pyzmq==27.3.0",
    "sentry-sdk==2.75.0",
    "tqdm==4.70.1",
];
/// What Python calls them.
const MODULES: &str = "import duckdb, perfetto, confluent_kafka, fsspec, grpc, numpy, opentelemetry.sdk, \
                       pymongo, zmq, sentry_sdk, tqdm, kubernetes_validate, opentelemetry.proto";

/// Versions, and the Debian release that has each. The first is for virtual machines alone.
pub(crate) const PYTHONS: [(&str, &str); 3] =
    [("3.11", "bookworm"), ("3.13", "trixie"), ("3.14", "sid")];

/// Debian's own name; `FORKTRACE_DEBIAN_MIRROR` names another.
const MIRROR: &str = "http://deb.debian.org/debian";

pub(crate) fn run() -> Result<()> {
    packages()?;
    PYTHONS.iter().skip(1).try_for_each(|(version, release)| make(version, release, &mirror()))
}

/// Makes the Python that has packages of PyPI.
fn packages() -> Result<()> {
    let folder = root().join("target/python");
    let python = folder.join("bin/python");
    let imports = Command::new(&python).args(["-c", MODULES]).output();
    if imports.is_ok_and(|output| output.status.success()) {
        println!("{} is there", folder.display());
        return Ok(());
    }
    println!("making {} with {}", folder.display(), PACKAGES.join(" and "));
    let made = status(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    made.context("on Debian: apt install python3-venv")?;
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    status(&mut pip)
}

/// Makes those of all versions.
pub(crate) fn run_all() -> Result<()> {
    PYTHONS.iter().try_for_each(|(version, release)| make(version, release, &mirror()))
}

/// Where Debian is fetched from.
pub(crate) fn mirror() -> String {
    std::env::var("FORKTRACE_DEBIAN_MIRROR").unwrap_or_else(|_| MIRROR.into())
}

fn make(version: &str, release: &str, mirror: &str) -> Result<()> {
    let pythons = root().join("target/pythons");
    let folder = pythons.join(version);
    if folder.join(format!("usr/bin/python{version}")).exists() {
        println!("{} is there", folder.display());
        return Ok(());
    }
    fs::create_dir_all(&pythons)?;
    // Under another name until it is whole.
    let partial = pythons.join(format!("{version}.partial"));
    as_root(&["rm", "-rf", "--"], &[&partial])?;
    let package = format!("--include=python{version}");
    println!("making {} with debootstrap, from {mirror}", folder.display());
    let made = as_root(
        &["debootstrap", "--variant=minbase", &package, release],
        &[&partial, std::path::Path::new(mirror)],
    );
    made.context("on Debian: apt install debootstrap")?;
    as_root(&["mv", "-T", "--"], &[&partial, &folder])
}

/// Runs a command as root, through sudo where that is not what this process is.
fn as_root(command: &[&str], paths: &[&std::path::Path]) -> Result<()> {
    let mut whole = if is_root()? { Vec::new() } else { vec!["sudo"] };
    whole.extend(command);
    let (program, args) = whole.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(args).args(paths);
    let status = command.status().with_context(|| format!("running {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

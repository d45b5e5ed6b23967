//! What a guest has: one initramfs with user spaces of three Debian releases, forktrace, its
//! end-to-end tests and the workloads.
//!
//! All of it lies in the guest's memory: its clock runs by instructions (see `guest`), and a disk's
//! would not.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use super::plan;
use crate::{pythons, root, status};

/// The Python whose tree is the guests' root folder; the others are folders in it.
const BASE: &str = "3.11";

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What no test needs of a Debian tree, as `find -path` takes it.
const LEFT_OUT: [&str; 19] = [
    "*/boot",
    "*/dev/*",
    "*/proc/*",
    "*/sys/*",
    "*/tmp/*",
    "*/root/*",
    "*/workloads",
    "*/var/*",
    "*/etc/*shadow*",
    "*/etc/ssl",
    "*/usr/share",
    "*/usr/lib/apt",
    "*/usr/lib/x86_64-linux-gnu/gconv",
    "*/usr/lib/x86_64-linux-gnu/perl-base",
    "*/usr/lib/python3*/test",
    "*/usr/lib/python3*/pydoc_data",
    "*/usr/lib/python3*/ensurepip",
    "*/usr/lib/python3*/lib2to3",
    "*/usr/bin/perl*",
];

/// Builds the initramfs; where it is.
pub(crate) fn build() -> Result<PathBuf> {
    let folder = super::folder();
    fs::create_dir_all(&folder)?;
    let stage = folder.join("stage");
    // From nothing, so that nothing is left from before.
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    programs(&stage)?;
    pythons::run_all()?;
    let image = folder.join("initramfs.partial");
    let mut whole = File::create(&image)?;
    let pythons = root().join("target/pythons");
    archive(&pythons.join(BASE), ".", &LEFT_OUT, &mut whole)?;
    for (version, _) in pythons::PYTHONS.iter().filter(|(version, _)| *version != BASE) {
        archive(&pythons, version, &LEFT_OUT, &mut whole)?;
    }
    archive(&stage, ".", &[], &mut whole)?;
    let built = folder.join("initramfs");
    fs::rename(image, &built)?;
    println!("{}: {} MB", built.display(), fs::metadata(&built)?.len() >> 20);
    Ok(built)
}

/// Everything of ours, laid out as in a guest.
fn programs(stage: &Path) -> Result<()> {
    let ours = stage.join("vm");
    fs::create_dir_all(&ours)?;
    let python = ["--features", "python"];
    let forktrace = cargo(&["build", "--package", "forktrace", "--bin"], "forktrace", &python)?;
    let test = ["test", "--no-run", "--package", "forktrace-tests", "--test"];
    let e2e = cargo(&test, "e2e", &[])?;
    fs::copy(forktrace, ours.join("forktrace"))?;
    fs::copy(e2e, ours.join("e2e"))?;
    plan::check(&listed(&ours)?)?;
    let mut workloads = Command::new("cargo");
    workloads.args(["run", "--quiet", "--locked", "--package", "forktrace-tests"]);
    workloads.args(["--bin", "workloads", "--"]).arg(ours.join("built")).current_dir(root());
    status(&mut workloads)?;

    executable(&stage.join("init"), include_str!("guest.sh"))?;
    for folder in ["dev", "proc", "sys", "tmp", "root", "usr/local/bin"] {
        fs::create_dir_all(stage.join(folder))?;
    }
    symlink(format!("/usr/bin/python{BASE}"), stage.join("usr/local/bin/python3"))?;
    musl(stage)?;
    // The tests look for their workloads' sources, and for the Pythons, where they were compiled.
    let workspace = stage.join(root().strip_prefix("/")?);
    fs::create_dir_all(workspace.join("target"))?;
    symlink("/", workspace.join("target/pythons"))?;
    let from = root().join("tests/workloads");
    let to = workspace.join("tests");
    fs::create_dir_all(&to)?;
    status(Command::new("cp").arg("-r").arg(from).arg(&to))
}

/// The end-to-end tests that there are, one a line.
fn listed(ours: &Path) -> Result<String> {
    let mut list = Command::new(ours.join("e2e"));
    list.args(["--list", "--color", "never"])
        .env("FORKTRACE_TESTS_VM", "1")
        .env("FORKTRACE_BIN", ours.join("forktrace"))
        .env_remove("FORKTRACE_TESTS_ONLY");
    crate::output(&mut list)
}

/// The C library of the workloads that are linked with musl, where it is here.
fn musl(stage: &Path) -> Result<()> {
    let loader = "usr/lib/ld-musl-x86_64.so.1";
    let library = fs::canonicalize(Path::new("/").join(loader))
        .context("musl is not here; on Debian: apt install musl-tools")?;
    let to = stage.join(library.strip_prefix("/")?);
    fs::create_dir_all(to.parent().context("no folder")?)?;
    fs::copy(&library, to)?;
    Ok(symlink(library, stage.join(loader))?)
}

fn executable(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o755))?)
}

/// Builds a program that needs no library of the guest's; where it is.
fn cargo(args: &[&str], name: &str, more: &[&str]) -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command
        .args(args)
        .arg(name)
        .args(more)
        .args(["--locked", "--profile", "guest", "--target", TARGET, "--no-default-features"])
        .arg("--message-format=json-render-diagnostics")
        .arg("--target-dir")
        .arg(super::folder().join("build"))
        .current_dir(root())
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .stderr(Stdio::inherit());
    let output = command.output().context("running cargo")?;
    ensure!(output.status.success(), "{command:?} failed: {}", output.status);
    let told = String::from_utf8(output.stdout)?;
    let messages = told.lines().filter_map(|line| serde_json::from_str(line).ok());
    // Beside a test, the package's programs are built.
    let mut named = messages.filter(|message: &serde_json::Value| {
        message.pointer("/target/name").is_some_and(|other| other == name)
    });
    named
        .find_map(|message| Some(message.get("executable")?.as_str()?.into()))
        .with_context(|| format!("cargo did not say where {name} is"))
}

/// Appends a folder, seen from another one, to an archive as the kernel unpacks it, but for some
/// paths. All is root's.
fn archive(from: &Path, folder: &str, but: &[&str], into: &mut File) -> Result<()> {
    let mut find = Command::new("find");
    // A tree may be a link to one that is elsewhere.
    find.arg(format!("{folder}/")).current_dir(from);
    for path in but {
        find.args(["-path", path, "-prune", "-o"]);
    }
    find.arg("-print0").stdout(Stdio::piped());
    let mut find = find.spawn().context("running find")?;
    let names = find.stdout.take().context("no names")?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--create", "--format=newc", "--null", "--quiet", "--owner=0:0"])
        .current_dir(from)
        .stdin(names)
        .stdout(into.try_clone()?);
    status(&mut cpio)?;
    ensure!(find.wait()?.success(), "find did not see all of {}", from.display());
    Ok(())
}

/// Writes an initramfs with a plan: what a guest is to do.
pub(crate) fn with_plan(image: &Path, plan: &str, to: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("vm"))?;
    fs::write(folder.path().join("vm/plan"), plan)?;
    let mut whole = File::create(to)?;
    io::copy(&mut File::open(image)?, &mut whole)?;
    whole.flush()?;
    archive(folder.path(), ".", &[], &mut whole)
}

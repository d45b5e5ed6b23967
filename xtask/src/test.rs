//! Running every test.
//!
//! Tests on the real kernel need root. Building as root would leave root's files in the target
//! folder, so only the test programs themselves are started through sudo.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::root;

pub(crate) fn run(no_skip: bool, filter: Option<&str>) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--workspace", "--no-fail-fast", "--locked"]).current_dir(root());
    if !is_root()? {
        println!("the tests on the real kernel need root: sudo may ask for your password");
        cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", "sudo --preserve-env");
    }
    if no_skip {
        cargo.env("FORKTRACE_TESTS_NO_SKIP", "1");
    }
    if let Some(filter) = filter {
        cargo.args(["--", filter]);
    }
    let status = cargo.status().with_context(|| format!("running {cargo:?}"))?;
    if !status.success() {
        bail!("tests failed");
    }
    Ok(())
}

pub(crate) fn is_root() -> Result<bool> {
    let id = Command::new("id").arg("-u").output().context("running id")?;
    Ok(id.stdout.trim_ascii() == b"0")
}

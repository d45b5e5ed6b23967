//! The soak: an hour under a mixed load, in a release build.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{as_root, root};

pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--locked", "--release", "--package", "forktrace"]);
    let status =
        build.current_dir(root()).status().with_context(|| format!("running {build:?}"))?;
    ensure!(status.success(), "forktrace does not build");
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--locked", "--package", "forktrace-tests", "--bin", "soak"]);
    cargo.arg("--").args(args).current_dir(root());
    cargo.env("FORKTRACE_BIN", root().join("target/release/forktrace"));
    as_root(&mut cargo)?;
    let status = cargo.status().with_context(|| format!("running {cargo:?}"))?;
    ensure!(status.success(), "the soak is not as it should be");
    Ok(())
}

//! What forktrace costs, measured on this machine.

use std::{env, fs, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{as_root, root};

pub(crate) fn run(args: &[String]) -> Result<()> {
    // Made here, so that it does not become root's.
    fs::create_dir_all(root().join("target/bench"))?;
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--locked", "--package", "forktrace-tests", "--bin", "bench"]);
    cargo.arg("--").args(args).current_dir(root());
    if env::var_os("FORKTRACE_BIN").is_none() {
        // What people use is measured; the harness itself may be slow.
        let mut build = Command::new("cargo");
        build.args(["build", "--release", "--locked", "--package", "forktrace"]);
        let status = build.current_dir(root()).status().context("running cargo")?;
        ensure!(status.success(), "forktrace does not build");
        let target =
            env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
        cargo.env("FORKTRACE_BIN", target.join("release/forktrace"));
    }
    as_root(&mut cargo)?;
    let status = cargo.status().with_context(|| format!("running {cargo:?}"))?;
    ensure!(status.success(), "not everything could be measured");
    Ok(())
}

//! Running every test.

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{as_root, root};

pub(crate) fn run(no_skip: bool, filter: &[String]) -> Result<()> {
    ensure!(filter.len() < 2, "one filter at most");
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--workspace", "--no-fail-fast", "--locked"]).current_dir(root());
    as_root(&mut cargo)?;
    if no_skip {
        cargo.env("FORKTRACE_TESTS_NO_SKIP", "1");
    }
    cargo.arg("--").args(filter);
    let status = cargo.status().with_context(|| format!("running {cargo:?}"))?;
    if !status.success() {
        bail!("tests failed");
    }
    Ok(())
}

//! The scoreboard: what forktrace says beside the truth.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::{as_root, root};

pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--locked", "--package", "forktrace-tests", "--bin", "score"]);
    cargo.arg("--").args(args).current_dir(root());
    as_root(&mut cargo)?;
    let status = cargo.status().with_context(|| format!("running {cargo:?}"))?;
    ensure!(status.success(), "the score is not as it should be");
    Ok(())
}

//! Running every test.

use std::{fs, process::Command};

use anyhow::{Context as _, Result, ensure};

use crate::{as_root, root};

pub(crate) fn run(no_skip: bool, filter: &[String]) -> Result<()> {
    ensure!(filter.len() < 2, "one filter at most");
    let target = root().join("target");
    fs::create_dir_all(&target)?;
    // Not where everybody may write: there, root may not write into somebody else's file.
    let skipped = tempfile::NamedTempFile::new_in(target)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--workspace", "--no-fail-fast", "--locked"]).current_dir(root());
    as_root(&mut cargo)?;
    cargo.env("FORKTRACE_TESTS_SKIPPED", skipped.path());
    if no_skip {
        cargo.env("FORKTRACE_TESTS_NO_SKIP", "1");
    }
    cargo.arg("--").args(filter);
    let status = cargo.status().with_context(|| format!("running {cargo:?}"))?;
    let sum = fs::read(skipped.path())?;
    // Nothing where no test was reached.
    if let Ok(sum) = serde_json::from_slice::<serde_json::Value>(&sum) {
        let again = sum.get("again").and_then(|lines| lines.as_array()).into_iter().flatten();
        for line in again.chain(sum.get("line")).filter_map(|line| line.as_str()) {
            println!("{line}");
        }
    }
    ensure!(status.success(), "tests failed");
    Ok(())
}

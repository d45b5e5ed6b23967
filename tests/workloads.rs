//! Compiles every workload into a folder: `workloads FOLDER`. Tests on a machine without compilers
//! run those (`FORKTRACE_TESTS_BUILT`).

use std::path::Path;

use anyhow::{Context as _, Result};
use forktrace_tests::{clean_up, workload};

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).context("usage: workloads FOLDER")?;
    let built = workload::build_all(Path::new(&folder));
    clean_up();
    built
}

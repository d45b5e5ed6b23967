//! Fuzzing: the targets of `fuzz/`, one after the other (docs/fuzzing.md).

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail, ensure};

use crate::root;

/// cargo-fuzz, as it was tried.
const VERSION: &str = "0.13.2";
/// The largest input, bytes: as much as it takes to reach everything, for what is longer takes longer.
fn max_len(target: &str) -> u32 {
    match target {
        "escape" | "picture" => 128,
        "line" | "name" => 256,
        "wire" | "locks" | "tracefs" | "proc" => 1024,
        // The sections of a library are at its end.
        "elf" => 8192,
        _ => 4096,
    }
}

pub(crate) fn run(target: Option<&str>, runs: u64, keep: bool) -> Result<()> {
    let fuzz = root().join("fuzz");
    let all = targets(&fuzz)?;
    let chosen: Vec<&String> =
        all.iter().filter(|name| target.is_none_or(|target| target == name.as_str())).collect();
    ensure!(!chosen.is_empty(), "there is no such target; there are {}", all.join(", "));
    if !Command::new("cargo").args(["fuzz", "--version"]).output()?.status.success() {
        bail!("cargo-fuzz is missing: cargo install cargo-fuzz --locked --version {VERSION}");
    }
    for name in chosen {
        one(&fuzz, name, runs, keep)?;
    }
    Ok(())
}

fn targets(fuzz: &Path) -> Result<Vec<String>> {
    let files = fs::read_dir(fuzz.join("fuzz_targets"))?.flatten();
    let name = |path: std::path::PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = files.filter_map(|file| name(file.path())).collect();
    names.sort();
    Ok(names)
}

/// Whether inputs are recipes: numbers in them stand for choices, and what the code compares its own
/// numbers with says nothing of them. Not to follow that makes it twice as fast.
fn is_recipe(target: &str) -> bool {
    ["line", "escape", "picture", "log", "replay", "page", "table"].contains(&target)
}

/// Finds go to a folder of their own first: the corpus that is checked in stays small.
fn one(fuzz: &Path, name: &str, runs: u64, keep: bool) -> Result<()> {
    let corpus = format!("corpus/{name}");
    let found = format!("target/corpus/{name}");
    fs::create_dir_all(fuzz.join(&found))?;
    let mut limits = vec![
        format!("-runs={runs}"),
        format!("-max_len={}", max_len(name)),
        "-rss_limit_mb=2048".into(),
        "-timeout=10".into(),
        // What is said of bad lines.
        "-close_fd_mask=2".into(),
        "-print_final_stats=1".into(),
    ];
    if is_recipe(name) {
        // To keep count of how rare each way is takes longer than to go it.
        limits.push("-entropic=0".into());
    }
    libfuzzer(fuzz, name, &[&found, &corpus], &limits)?;
    if keep {
        libfuzzer(fuzz, name, &[&corpus, &found], &["-merge=1".into()])?;
    }
    Ok(())
}

fn libfuzzer(fuzz: &Path, name: &str, folders: &[&String], options: &[String]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    // Everything is safe Rust, in which the address sanitizer finds nothing and takes half the time.
    cargo.args(["fuzz", "run", "--sanitizer", "none"]);
    if is_recipe(name) {
        cargo.arg("--no-trace-compares");
    }
    cargo.arg(name).args(folders).arg("--").args(options);
    // cargo-fuzz asks for flags of a nightly compiler, which the pinned one takes by this.
    cargo.env("RUSTC_BOOTSTRAP", "1").current_dir(fuzz);
    let status = cargo.status().with_context(|| format!("running {cargo:?}"))?;
    ensure!(status.success(), "{name} failed: the input is in fuzz/artifacts/{name}");
    Ok(())
}

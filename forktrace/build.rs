//! Finds out which commit is built, for `forktrace --version`.

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=FORKTRACE_COMMIT");
    let commit = env::var("FORKTRACE_COMMIT").ok().or_else(published).or_else(of_clone);
    println!("cargo::rustc-env=FORKTRACE_COMMIT={}", commit.unwrap_or_default());
    println!("cargo::rustc-env=FORKTRACE_TARGET={}", env::var("TARGET").unwrap_or_default());
}

/// The commit that `cargo publish` notes in a package.
fn published() -> Option<String> {
    let noted = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = noted.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    Some(commit.to_owned())
}

/// Not for a debug build: each commit would build the command anew.
fn of_clone() -> Option<String> {
    if env::var("PROFILE").as_deref() == Ok("debug") {
        return None;
    }
    // It grows with each commit and each checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if Path::new(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let with = if changed.is_empty() { "" } else { " with changes" };
    Some(format!("{}{with}", git(&["rev-parse", "HEAD"])?))
}

/// What git prints; `None`: there is no git, or no clone.
fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

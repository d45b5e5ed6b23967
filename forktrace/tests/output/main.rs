//! Snapshots of whole outputs, as people read them. After a change of an output, run
//! `INSTA_UPDATE=always cargo test -p forktrace --test output` and read the difference in
//! `tests/snapshots`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod errors;
mod export;
mod help;
mod kernel;
mod pages;
mod report;
#[cfg(feature = "top")]
mod top;

use std::{fmt::Write as _, path::PathBuf};

use assert_cmd::Command;

/// A file in `tests`.
fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(path)
}

/// forktrace with these arguments, in UTC and without a terminal.
fn forktrace(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("forktrace").unwrap();
    command.env("TZ", "UTC").env_remove("COLUMNS").env_remove("NO_COLOR").args(arguments);
    command
}

/// Command line, stdout, stderr and exit status of a run. `{dir}` in the arguments is replaced with
/// `dir`, and `dir` in the output with `{dir}`.
fn session(arguments: &[&str], dir: &str) -> String {
    let filled: Vec<String> = arguments.iter().map(|text| text.replace("{dir}", dir)).collect();
    let filled: Vec<&str> = filled.iter().map(String::as_str).collect();
    let output = forktrace(&filled).output().unwrap();
    let mut text = String::from("$ forktrace");
    for argument in arguments {
        let quoted = argument.is_empty() || argument.contains(|c: char| c == '*' || c.is_control());
        let _ = match quoted {
            true => write!(text, " '{}'", argument.escape_debug()),
            false => write!(text, " {argument}"),
        };
    }
    text.push('\n');
    for bytes in [&output.stdout, &output.stderr] {
        text.push_str(&String::from_utf8_lossy(bytes));
    }
    let code = output.status.code().unwrap();
    if code != 0 {
        let _ = writeln!(text, "[exit status {code}]");
    }
    match dir.is_empty() {
        true => text,
        false => text.replace(dir, "{dir}"),
    }
}

/// Compares a text with its snapshot.
fn assert_is(name: &str, text: &str) {
    let settings = {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(file("snapshots"));
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings
    };
    settings.bind(|| insta::assert_snapshot!(name, text));
}

//! `forktrace export` on recorded logs.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::PathBuf};

use assert_cmd::Command;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn export() -> Command {
    let mut command = Command::cargo_bin("forktrace").unwrap();
    command.args(["export", "--format", "html"]);
    command
}

#[test]
fn a_page_goes_to_stdout_or_into_a_file_of_the_owner() {
    let page = export().arg(golden("mutex_of_thread.jsonl")).assert().success().stderr("");
    let page = String::from_utf8(page.get_output().stdout.clone()).unwrap();
    assert!(
        page.starts_with("<!doctype html>") && page.contains("1 child hangs on an inherited lock")
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    export()
        .arg(golden("mutex_of_thread.jsonl"))
        .arg("-o")
        .arg(&file)
        .assert()
        .success()
        .stdout("");
    assert_eq!(fs::read_to_string(&file).unwrap(), page);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_log_itself_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("trace.jsonl");
    fs::copy(golden("python_lock.jsonl"), &log).unwrap();
    let refused = export().arg(&log).arg("-o").arg(&log).assert().code(1);
    let said = String::from_utf8(refused.get_output().stderr.clone()).unwrap();
    assert!(said.contains("it is the log itself"), "{said}");
    assert_eq!(fs::read(&log).unwrap(), fs::read(golden("python_lock.jsonl")).unwrap());
}

#[test]
fn a_cut_log_is_shown_as_far_as_it_goes_and_the_page_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("cut.jsonl");
    let whole = fs::read(golden("python_lock.jsonl")).unwrap();
    fs::write(&log, &whole[..whole.len() - 10]).unwrap();
    let page = export().arg(&log).assert().success();
    let page = String::from_utf8(page.get_output().stdout.clone()).unwrap();
    assert!(page.contains("the log was cut off") && page.contains("\"end_reason\":null"));
}

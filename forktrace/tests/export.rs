//! `forktrace export` of a recorded run of a prefork server, three of whose workers hang: every
//! format tells what the log tells.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use assert_cmd::Command;
use serde_json::Value;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn export(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("forktrace").unwrap();
    command.arg("export").arg(golden("prefork.jsonl")).args(arguments);
    command
}

fn exported(format: &str) -> Vec<u8> {
    let assert = export(&["--format", format]).assert().success().stderr("");
    assert.get_output().stdout.clone()
}

/// Compares with the recorded export; `FORKTRACE_BLESS=1` records it.
fn same_as_recorded(format: &str) {
    compare(&format!("prefork.{format}"), exported(format));
}

fn compare(name: &str, now: Vec<u8>) {
    let path = golden(name);
    if std::env::var_os("FORKTRACE_BLESS").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let recorded = fs::read(path).unwrap();
    let (now, recorded) = (String::from_utf8(now).unwrap(), String::from_utf8(recorded).unwrap());
    for (now, recorded) in now.lines().zip(recorded.lines()) {
        assert_eq!(now, recorded);
    }
    assert_eq!(now.len(), recorded.len());
}

fn log() -> Vec<Value> {
    let log = fs::read_to_string(golden("prefork.jsonl")).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn csv_is_as_recorded() {
    same_as_recorded("csv");
}

#[test]
fn dot_is_as_recorded() {
    same_as_recorded("dot");
}

#[test]
fn svg_is_as_recorded() {
    same_as_recorded("svg");
}

#[test]
fn what_the_page_tells_is_as_recorded() {
    let page = String::from_utf8(exported("html")).unwrap();
    let data = page.split_once("id=\"data\">").unwrap().1.split_once("</script>").unwrap().0;
    let data: Value = serde_json::from_str(data).unwrap();
    compare("prefork.html.json", serde_json::to_vec_pretty(&data).unwrap());
}

#[test]
fn csv_has_a_row_for_every_line_of_the_log() {
    let csv = String::from_utf8(exported("csv")).unwrap();
    let mut rows = csv.lines();
    let titles: Vec<_> = rows.next().unwrap().split(',').collect();
    let place = |name| titles.iter().position(|title| *title == name).unwrap();
    let (kind, ts) = (place("type"), place("ts"));
    let rows: Vec<(String, String)> = rows
        .map(|row| row.split(',').map(str::to_owned).collect::<Vec<_>>())
        .map(|cells| (cells[kind].clone(), cells[ts].clone()))
        .collect();
    let lines: Vec<(String, String)> = log()
        .iter()
        .map(|line| (line["type"].as_str().unwrap().into(), line["ts"].as_str().unwrap().into()))
        .collect();
    assert_eq!(rows, lines);
}

#[test]
fn every_column_is_described() {
    let described = include_str!("../../docs/export.md");
    for column in forktrace::export::table::COLUMNS {
        assert!(described.contains(&format!("`{}`", column.name)), "{}", column.name);
    }
}

#[test]
fn the_format_is_told_by_the_name_and_the_file_is_its_owners() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("tree.svg");
    export(&["-o", out.to_str().unwrap()]).assert().success().stdout("").stderr("");
    assert_eq!(fs::read(&out).unwrap(), exported("svg"));
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_cut_log_is_exported_and_said_to_be_cut() {
    let whole = fs::read(golden("prefork.jsonl")).unwrap();
    let cut = tempfile::NamedTempFile::new().unwrap();
    fs::write(cut.path(), &whole[..whole.len() - 40]).unwrap();
    let mut command = Command::cargo_bin("forktrace").unwrap();
    let assert = command.arg("export").arg(cut.path()).args(["--format", "dot"]).assert();
    let output = assert.success().get_output().clone();
    assert!(String::from_utf8_lossy(&output.stderr).contains("was cut off"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("HANG certain"));
}

#[test]
fn a_page_goes_to_stdout_or_into_a_file() {
    let page = String::from_utf8(exported("html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("3 children hang"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    export(&["-o", file.to_str().unwrap()]).assert().success().stdout("");
    assert_eq!(fs::read_to_string(&file).unwrap(), page);
}

#[test]
fn what_was_there_stays_if_it_cannot_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report.html");
    fs::write(&out, "good").unwrap();
    let mut command = Command::cargo_bin("forktrace").unwrap();
    command.args(["export", "/nonexistent", "-o", out.to_str().unwrap()]).assert().code(1);
    assert_eq!(fs::read(&out).unwrap(), b"good");
    export(&["-o", out.to_str().unwrap()]).assert().success();
    assert!(fs::read(&out).unwrap().len() > 10_000);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

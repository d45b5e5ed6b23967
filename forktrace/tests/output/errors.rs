//! Errors that do not depend on the host: one sentence each, with its exit status.

use std::fs;

use super::{assert_is, session};

/// Runs each command line, and checks that each prints one line to stderr.
fn sessions(lines: &[&[&str]], dir: &str) -> String {
    let texts: Vec<String> = lines.iter().map(|line| session(line, dir)).collect();
    for text in &texts {
        assert!(text.contains("\nforktrace: ") && text.lines().count() <= 3, "{text}");
    }
    texts.join("\n")
}

#[test]
fn wrong_options() {
    let lines: &[&[&str]] = &[
        &[],
        &["--no-such-flag"],
        &["--pids", "1"],
        &["sleep", "1"],
        &["-q", "python3", "app.py"],
        &["-p"],
        &["-p", "firefox"],
        &["-p", "-5"],
        &["-p", ""],
        &["-p", "1,x"],
        &["-p", "1", "-a"],
        &["-p", "1", "--", "true"],
        &["-a", "--", "true"],
        &["-a", "-d", "soon"],
        &["-a", "-d", "0"],
        &["-a", "--min-wait", "1d"],
        &["-a", "--ring-size", "3"],
        &["-a", "--ring-size", "big"],
        &["-a", "--snapshot-limit", "1K"],
        &["-a", "--exit-code", "300"],
        &["-a", "--lean", "--events", "all"],
        &["-a", "-o", "log.csv"],
        &["-a", "-o", "log.jsonl", "--keep", "3"],
        &["-a", "-o", "log.jsonl", "--keep", "0"],
        &["-a", "--rotate-time", "1h"],
        &["-a", "-o", "log.jsonl", "--rotate-time", "10ms"],
        &["-a", "-u", "no-such-user"],
        &["-a", "--container", "web-1"],
        &["report"],
        &["demo", "no-such-demo"],
        &["doctor", "--pid", "1"],
    ];
    assert_is("errors-of-options", &sessions(lines, ""));
}

#[test]
fn no_such_target() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("text.txt"), "no program\n").unwrap();
    // Pids end at 4194304.
    let lines: &[&[&str]] = &[
        &["-p", "4194305"],
        &["-p", "2"],
        &["--", "no-such-command"],
        &["--", "{dir}/none"],
        &["--", "{dir}"],
        &["--", "{dir}/text.txt"],
        &["--", "{dir}/\x1b[31mred"],
    ];
    assert_is("errors-of-targets", &sessions(lines, dir.path().to_str().unwrap()));
}

#[test]
fn files_that_are_no_logs() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).unwrap();
    write("empty.jsonl", b"");
    write("text.jsonl", b"not a log\n");
    write("binary.jsonl", b"\x00\xff\x1b[31m");
    write("other.jsonl", b"{\"a\":1}\n");
    write("newer.jsonl", b"{\"schema\":999,\"type\":\"trace.start\"}\n");
    write("cut.jsonl.zst", b"\x28\xb5\x2f\xfd\x00");
    let lines: &[&[&str]] = &[
        &["report", "{dir}/none.jsonl"],
        &["report", "{dir}"],
        &["report", "/dev/zero"],
        &["report", "{dir}/empty.jsonl"],
        &["report", "{dir}/text.jsonl"],
        &["report", "{dir}/binary.jsonl"],
        &["report", "{dir}/other.jsonl"],
        &["report", "{dir}/newer.jsonl"],
        &["report", "{dir}/cut.jsonl.zst"],
        &["report", "{dir}/text.jsonl", "-"],
        &["report", "--check", "{dir}/none.jsonl"],
    ];
    assert_is("errors-of-logs", &sessions(lines, dir.path().to_str().unwrap()));
}

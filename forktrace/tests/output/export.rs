//! Errors of `forktrace export`. Its files are compared in `tests/export.rs`.

use std::fs;

use super::{assert_is, file, session};

#[test]
fn what_cannot_be_exported() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let golden = fs::read(file("golden/prefork.jsonl")).unwrap();
    fs::write(path("log.jsonl"), &golden).unwrap();
    fs::write(path("cut.jsonl"), &golden[..golden.len() - 40]).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", path("link.svg")).unwrap();
    let lines: &[&[&str]] = &[
        &["export", "{dir}/log.jsonl"],
        &["export", "{dir}/log.jsonl", "-o", "x.txt"],
        &["export", "{dir}/log.jsonl", "-o", "{dir}/log.jsonl", "--format", "csv"],
        &["export", "{dir}/log.jsonl", "-o", "{dir}/link.svg"],
        &["export", "{dir}/log.jsonl", "-o", "/dev/null", "--format", "csv"],
        &["export", "{dir}/log.jsonl", "-o", "{dir}/none/x.svg"],
        &["export", "{dir}/none.jsonl", "--format", "dot"],
        &["export", "{dir}/cut.jsonl", "-o", "{dir}/x.dot"],
    ];
    let dir = folder.path().to_str().unwrap();
    let texts: Vec<String> = lines.iter().map(|line| session(line, dir)).collect();
    assert!(texts.iter().all(|text| text.lines().count() <= 3), "more than one sentence");
    assert_eq!(fs::read(path("log.jsonl")).unwrap(), golden, "the log was overwritten");
    assert_is("errors-of-export", &texts.join("\n"));
}

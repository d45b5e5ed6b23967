//! A log that was written to do harm costs a bounded amount of memory. Alone in its file: the peak of
//! a child counts that of the process that forked it.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{fs, io::Write as _, path::Path};

use assert_cmd::Command;
use nix::sys::resource::{UsageWho, getrusage};

/// Some 300 MB when read.
fn bomb(path: &Path) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mutex_of_thread.jsonl");
    let golden = fs::read_to_string(golden).unwrap();
    let mut zstd = zstd::Encoder::new(fs::File::create(path).unwrap(), 1).unwrap();
    writeln!(zstd, "{}", golden.lines().next().unwrap()).unwrap();
    let name = "x".repeat(8000);
    for seq in 2..40_000 {
        let child = 1000 + seq;
        writeln!(
            zstd,
            r#"{{"schema":1,"type":"process.fork","seq":{seq},"boot_ns":{seq},"pid":10,"tid":10,"comm":"{name}","child_pid":{child},"clone_flags":"0x1200011"}}"#
        )
        .unwrap();
    }
    zstd.finish().unwrap();
}

#[test]
fn a_small_file_that_tells_of_more_than_there_is_memory_for_is_read_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.jsonl.zst");
    bomb(&path);
    assert!(fs::metadata(&path).unwrap().len() < 1 << 20, "it is no bomb");
    let path = path.to_str().unwrap();
    let said = |args: &[&str]| {
        let mut command = Command::cargo_bin("forktrace").unwrap();
        let output = command.args(args).args(["--memory", "64M", path]).output().unwrap();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
    };
    for args in [&["report", "--quiet"][..], &["export", "--format", "dot"]] {
        let text = said(args);
        assert!(text.contains("of memory: it was read up to line"), "{args:?}: {}", text.len());
    }
    // It keeps so little that it may read on to the end.
    assert!(said(&["report", "--check"]).contains("the log is cut"));
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() / 1024;
    assert!((16..160).contains(&peak), "{peak} MiB");
}

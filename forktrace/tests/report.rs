//! `forktrace report` of recorded logs. `tests/output` compares what it prints.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{fs, path::PathBuf};

use assert_cmd::Command;

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn report() -> Command {
    let mut command = Command::cargo_bin("forktrace").unwrap();
    command.env("TZ", "UTC").env_remove("COLUMNS").arg("report");
    command
}

#[test]
fn a_cut_log_gives_all_whole_lines_and_says_so() {
    let whole = fs::read(golden("mutex_of_thread.jsonl")).unwrap();
    let cut = tempfile::NamedTempFile::new().unwrap();
    fs::write(cut.path(), &whole[..whole.len() - 40]).unwrap();
    let output = report().arg(cut.path()).assert().success();
    let stdout = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(stdout.contains("HANG  inherited_mutex"), "{stdout}");
    assert!(stderr.contains("was cut off"), "{stderr}");
}

#[test]
fn a_compressed_log_is_known_by_its_bytes() {
    let whole = fs::read(golden("mutex_of_thread.jsonl")).unwrap();
    let lines = whole.split_inclusive(|byte| *byte == b'\n');
    let packed: Vec<u8> = lines.flat_map(|line| zstd::bulk::compress(line, 3).unwrap()).collect();
    let plain = report().arg("-").write_stdin(whole).assert().success();
    let output = report().arg("-").write_stdin(packed.clone()).assert().success().stderr("");
    assert_eq!(output.get_output().stdout, plain.get_output().stdout);
    let cut = report().arg("-").write_stdin(&packed[..packed.len() - 3]).assert().success();
    let stderr = String::from_utf8_lossy(&cut.get_output().stderr).into_owned();
    assert!(stderr.contains("the compressed file is cut off"), "{stderr}");
    let stdout = String::from_utf8_lossy(&cut.get_output().stdout).into_owned();
    assert!(stdout.contains("HANG  inherited_mutex"), "{stdout}");
    report().arg("-").write_stdin(&packed[..20]).assert().code(1);
    let check = report().args(["--check", "-"]).write_stdin(&packed[..20]).assert().code(1);
    let stdout = String::from_utf8_lossy(&check.get_output().stdout).into_owned();
    assert!(stdout.starts_with("-: the compressed file is cut off"), "{stdout}");
    assert!(stdout.ends_with("\n1 problem\n"), "{stdout}");
}

#[test]
fn recorded_logs_are_as_they_should_be() {
    for name in ["python_lock", "mutex_of_thread", "python_rlock"] {
        report().arg("--check").arg(golden(&format!("{name}.jsonl"))).assert().success();
    }
}

/// The whole of a golden log as the parts of a rotated one: its first line in each, the lines
/// between them in the second of three.
fn parts(dir: &std::path::Path) -> Vec<PathBuf> {
    let whole = fs::read_to_string(golden("mutex_of_thread.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> =
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let rotated = serde_json::json!({"schema": 1, "type": "trace.rotated", "ts": lines[0]["ts"]});
    let make = |part: usize| {
        let (from, to) = [(1, 1), (1, lines.len() - 1), (lines.len() - 1, lines.len())][part - 1];
        let mut first = lines[0].clone();
        (first["trace_id"], first["part"]) = ("t".into(), part.into());
        let mut all = vec![first];
        all.extend_from_slice(&lines[from..to]);
        if part < 3 {
            let mut last = rotated.clone();
            last["boot_ns"] = all[all.len() - 1]["boot_ns"].clone();
            last["next"] = (part + 1).into();
            all.push(last);
        }
        for (n, line) in all.iter_mut().enumerate() {
            line["seq"] = (n + 1).into();
        }
        let path = dir.join(format!("t.{part}.jsonl"));
        let text: String = all.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, text).unwrap();
        path
    };
    (1..=3).map(make).collect()
}

#[test]
fn a_part_that_is_bad_at_its_start_is_as_good_as_missing() {
    let dir = tempfile::tempdir().unwrap();
    let parts = parts(dir.path());
    report().args(&parts).assert().success().stderr("");
    let whole = fs::read(&parts[0]).unwrap();
    for bytes in [&whole[..10], b"", b"\x28\xb5\x2f\xfd\x00"] {
        fs::write(&parts[0], bytes).unwrap();
        let output = report().args(&parts).assert().success();
        let stdout = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        assert!(stdout.contains("HANG  inherited_mutex"), "{stdout}");
        let words: Vec<&str> = stdout.split_whitespace().collect();
        for text in [&stderr, &words.join(" ")] {
            assert!(text.contains("this file is ignored"), "{text}");
            assert!(text.contains("part 1 of this trace was not given"), "{text}");
        }
        assert_eq!(stderr.lines().count(), 2, "{stderr}");
        report().arg("--check").args(&parts).assert().code(1);
    }
    fs::write(&parts[1], "").unwrap();
    report().args(&parts[..2]).assert().code(1).stdout("");
}

#[test]
fn a_log_of_arm64_is_judged_on_any_machine() {
    let output = report().arg(golden("arm64_mutex.jsonl")).assert().success();
    let stdout = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    let words: Vec<&str> = stdout.split_whitespace().collect();
    for text in
        ["HANG inherited_mutex", "certain", "glibc mutex (recursive)", "in the page as inherited"]
    {
        assert!(words.join(" ").contains(text), "{text} is not in {stdout}");
    }
    report().arg("--check").arg(golden("arm64_mutex.jsonl")).assert().success();
}

#[test]
fn a_log_of_an_unknown_machine_shows_its_events_and_says_that_waits_are_not_judged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    let log = fs::read_to_string(golden("mutex_of_thread.jsonl")).unwrap();
    for (machine, words) in [
        (r#""arch":"riscv64","page_size":4096"#, "riscv64 with pages of 4096 bytes"),
        (r#""arch":"x86_64","page_size":65536"#, "x86_64 with pages of 65536 bytes"),
        (r#""arch":"aarch64","page_size":16384"#, "aarch64 with pages of 16384 bytes"),
    ] {
        let start = format!(r#""type":"trace.start",{machine},"#);
        fs::write(&path, log.replacen(r#""type":"trace.start","#, &start, 1)).unwrap();
        let output = report().arg(&path).assert().success();
        let stdout = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
        let flat: Vec<&str> = stdout.split_whitespace().collect();
        assert!(stdout.contains("fork") && !stdout.contains("HANG"), "{stdout}");
        assert!(flat.join(" ").contains(words), "{stdout}");
        assert!(stderr.contains("cannot judge waits") && stderr.lines().count() == 1, "{stderr}");
        report().arg("--check").arg(&path).assert().success();
    }
}

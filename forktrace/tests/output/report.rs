//! `forktrace report`: every kind of line, block, summary and caveat.

use std::fs;

use super::{assert_is, file, forktrace, session};

fn report(arguments: &[&str]) -> String {
    let output = forktrace(&["report"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn golden(name: &str) -> String {
    file(&format!("golden/{name}.jsonl")).to_str().unwrap().to_owned()
}

#[test]
fn recorded_runs() {
    for name in ["python_lock", "python_rlock", "mutex_of_thread", "prefork"] {
        assert_is(&format!("report-{name}"), &report(&[&golden(name)]));
    }
}

/// The findings of forktrace 0.1.0's logs: every kind of lock, proof and fork.
#[test]
fn every_kind_of_finding() {
    let folder = file("recorded/0.1.0");
    let mut logs: Vec<_> = fs::read_dir(folder).unwrap().map(|log| log.unwrap().path()).collect();
    logs.sort();
    for log in logs.iter().filter(|log| log.extension().is_some_and(|name| name == "zst")) {
        let name = log.file_name().unwrap().to_str().unwrap();
        let name = name.trim_end_matches(".jsonl.zst");
        let text = report(&["--quiet", "--suspects", log.to_str().unwrap()]);
        assert_is(&format!("finding-{name}"), &text);
    }
}

/// One line of each kind, by hand.
#[test]
fn lifecycle_lines() {
    let log = file("logs/lines.jsonl");
    let log = log.to_str().unwrap();
    let check = session(&["report", "--check", log], "");
    assert!(check.contains("20 lines, no problems"), "{check}");
    let mut narrow = forktrace(&["report", "--ascii", log]);
    let narrow = String::from_utf8(narrow.env("COLUMNS", "60").output().unwrap().stdout).unwrap();
    assert!(narrow.is_ascii() && narrow.lines().all(|line| line.len() <= 60), "{narrow}");
    assert_is("lines", &report(&[log]));
    assert_is("lines-narrow-ascii", &narrow);
}

/// Who waits for whom: a circle, an end that is held open, an orphaned lock.
#[test]
fn stalls() {
    let log = file("logs/stalls.jsonl");
    let log = log.to_str().unwrap();
    let check = session(&["report", "--check", log], "");
    assert!(check.contains("9 lines, no problems"), "{check}");
    assert_is("stalls", &report(&["--quiet", log]));
}

#[test]
fn a_narrow_ascii_block() {
    let mut narrow = forktrace(&["report", "--ascii", "--quiet", &golden("prefork")]);
    let narrow = String::from_utf8(narrow.env("COLUMNS", "60").output().unwrap().stdout).unwrap();
    assert!(narrow.is_ascii() && narrow.lines().all(|line| line.len() <= 60), "{narrow}");
    assert_is("block-narrow-ascii", &narrow);
}

#[test]
fn colours() {
    let text = report(&["--color", "always", "--quiet", &golden("python_lock")]);
    assert_is("block-colour", &text.replace('\x1b', "ESC"));
}

/// A trace that could not check everything.
#[test]
fn waits_that_were_not_judged() {
    let log = file("logs/unjudged.jsonl");
    assert_is("unjudged", &report(&["--quiet", log.to_str().unwrap()]));
}

#[test]
fn every_caveat() {
    let log = file("logs/caveats.jsonl");
    assert_is("caveats", &report(&["--quiet", log.to_str().unwrap()]));
    let log = file("logs/too-short.jsonl");
    assert_is("caveats-too-short", &report(&["--quiet", log.to_str().unwrap()]));
}

/// Logs that are cut, damaged or incomplete.
#[test]
fn bad_logs() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).unwrap();
    let whole = fs::read_to_string(file("golden/python_lock.jsonl")).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let first = lines[..5].concat();
    write("cut.jsonl", first.as_bytes());
    write("cut-in-a-line.jsonl", &first.as_bytes()[..first.len() - 40]);
    let bad = [lines[0], "\x1b[31m{\n", lines[1], "[]\n", lines[3]].concat();
    write("bad-lines.jsonl", bad.as_bytes());
    let packed = zstd::bulk::compress(first.as_bytes(), 3).unwrap();
    write("damaged.jsonl.zst", &[&packed[..], b"\x28\xb5\x2f\xfd\xff\xff\xff"].concat());
    let dir = folder.path().to_str().unwrap();
    let mut text = String::new();
    for name in ["cut.jsonl", "cut-in-a-line.jsonl", "bad-lines.jsonl", "damaged.jsonl.zst"] {
        let path = format!("{{dir}}/{name}");
        text.push_str(&session(&["report", "--quiet", &path], dir));
        text.push('\n');
        text.push_str(&session(&["report", "--check", &path], dir));
        text.push('\n');
    }
    assert_is("bad-logs", &text);
}

#[test]
fn filters() {
    let log = golden("prefork");
    let log = log.as_str();
    let texts = [
        session(&["report", "-q", "--comm", "nginx", log], ""),
        session(&["report", "-q", "--comm", "nginx", "--comm", "apache*", log], ""),
        session(&["report", "-q", "-u", "0", log], ""),
        session(&["report", "-q", "--exit-code", "7", log], ""),
    ];
    let texts = texts.map(|text| text.replace(log, "prefork.jsonl"));
    assert_is("report-filters", &texts.join("\n"));
}

/// Without `--suspects`.
#[test]
fn hidden_suspects() {
    let texts = ["semaphore-handler", "python-by-hand"].map(|name| {
        let log = file(&format!("recorded/0.1.0/{name}.jsonl.zst"));
        report(&["--quiet", log.to_str().unwrap()])
    });
    assert_is("hidden-suspects", &texts.join("\n"));
}

/// `-v`: why a wait is no finding.
#[test]
fn reasons() {
    let log = file("recorded/0.1.0/healthy-threads.jsonl.zst");
    let text = session(&["report", "-v", "-q", log.to_str().unwrap()], "");
    assert_is("report-reasons", &text.replace(log.to_str().unwrap(), "healthy-threads.jsonl.zst"));
}

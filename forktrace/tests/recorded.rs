//! A log that an earlier version recorded is judged to the same conclusions by this version: within
//! schema 1 fields are only added (SCHEMA.md).
//!
//! Each folder of `recorded/` holds logs of one version, and in `expected.jsonl` what that version
//! concluded from them. `recorded/README.md` says how to add a folder. Wording may change, so it is
//! not compared. Fields and events may be added, so that only what a folder names is compared.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use assert_cmd::Command;
use serde_json::{Map, Value, json};

/// Fields that hold sentences.
const WORDING: [&str; 4] = ["advice", "cut", "python_missing", "stack_cut"];
/// Fields of the line and not of the conclusion.
const OF_THE_LINE: [&str; 5] = ["schema", "type", "seq", "ts", "boot_ns"];
/// How the name of a log ends.
const LOG: &str = ".jsonl.zst";

/// Every rule of 0.1.0, and those that its logs reach since: they reach each of them.
const RULES: [&str; 36] = [
    "all-threads-blocked",
    "events-lost",
    "fork-not-seen",
    "fork-state-unknown",
    "fork-state-unproven",
    "handlers",
    "heir-waits",
    "held-at-fork",
    "held-at-fork-unknown",
    "holder-seen",
    "may-be-new",
    "never-used-here",
    "no-thread-lost",
    "nobody-inside",
    "others-alive",
    "owner-is-waiter",
    "owner-may-end",
    "owner-not-here",
    "owner-of-parent",
    "owner-older",
    "probes-late",
    "probes-late-here",
    "python-lock",
    "released-by-holder",
    "releases-by-hand",
    "signal-of-another-thread",
    "single-thread",
    "taken-by-hand",
    "threads-lost",
    "threads-of-parent",
    "threads-unknown",
    "timers",
    "unchanged-since-fork",
    "untouched-since-fork",
    "wakes-unknown",
    "with-at-fork",
];

/// Every kind of 0.1.0 with every confidence that its logs lead to.
const CONFIDENCES: [(&str, &str); 7] = [
    ("inherited-lock", "certain"),
    ("inherited-lock", "likely"),
    ("inherited-lock", "suspect"),
    ("lost-waker", "certain"),
    ("lost-waker", "likely"),
    ("self-deadlock", "certain"),
    ("self-deadlock", "likely"),
];

fn recorded() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recorded")
}

/// The folders of all versions.
fn versions() -> Vec<PathBuf> {
    let entries = fs::read_dir(recorded()).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

/// The logs in a folder, by name.
fn logs(folder: &Path) -> BTreeMap<String, PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: PathBuf| {
        let name = path.file_name()?.to_str()?.strip_suffix(LOG)?.to_owned();
        Some((name, path))
    };
    entries.filter_map(named).collect()
}

fn report(log: &Path, flags: &[&str]) -> String {
    let mut command = Command::cargo_bin("forktrace").unwrap();
    let output = command.arg("report").args(flags).arg(log).assert().success();
    String::from_utf8(output.get_output().stdout.clone()).unwrap()
}

/// What this version concludes from a log.
fn conclusions(log: &Path) -> Vec<Value> {
    let lines = report(log, &["--json", "--suspects"]);
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == "finding").map(conclusion).collect()
}

/// A finding without its wording; of its evidence the rules remain.
fn conclusion(finding: Value) -> Value {
    let mut fields = without_wording(finding).as_object().cloned().expect("no object");
    fields.retain(|name, _| !OF_THE_LINE.contains(&name.as_str()));
    let evidence = fields.remove("evidence").expect("a finding without evidence");
    let rules: BTreeSet<&str> =
        evidence.as_array().unwrap().iter().map(|proof| proof["rule"].as_str().unwrap()).collect();
    fields.insert("rules".into(), json!(rules));
    Value::Object(fields)
}

fn without_wording(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(name, _)| !WORDING.contains(&name.as_str()));
            Value::Object(fields.map(|(name, value)| (name, without_wording(value))).collect())
        }
        Value::Array(values) => values.into_iter().map(without_wording).collect(),
        other => other,
    }
}

/// The conclusions of the version that recorded a folder, by log. They are written down if the folder
/// is new.
fn expected(folder: &Path) -> BTreeMap<String, Vec<Value>> {
    // Two tests read what one of them may write.
    static WRITING: Mutex<()> = Mutex::new(());
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let file = folder.join("expected.jsonl");
    if !file.exists() && std::env::var_os("FORKTRACE_BLESS").is_some() {
        let line = |(name, log): (String, PathBuf)| {
            format!("{}\n", json!({"log": name, "findings": conclusions(&log)}))
        };
        fs::write(&file, logs(folder).into_iter().map(line).collect::<String>()).unwrap();
    }
    let text = fs::read_to_string(&file).expect("no expected.jsonl beside the logs");
    let read = |line: &str| {
        let line: Map<String, Value> = serde_json::from_str(line).unwrap();
        (line["log"].as_str().unwrap().to_owned(), line["findings"].as_array().unwrap().clone())
    };
    text.lines().map(read).collect()
}

/// What is not as expected, with the path of each field. Fields that are not expected may be there.
fn differences(path: &str, expected: &Value, found: &Value) -> Vec<String> {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let of = |(name, value): (&String, &Value)| {
                let found = found.get(name).unwrap_or(&Value::Null);
                differences(&format!("{path}/{name}"), value, found)
            };
            expected.iter().flat_map(of).collect()
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            let pairs = expected.iter().zip(found).enumerate();
            pairs
                .flat_map(|(at, (one, two))| differences(&format!("{path}/{at}"), one, two))
                .collect()
        }
        _ if expected == found => Vec::new(),
        _ => vec![format!("{path}: {expected} became {found}")],
    }
}

#[test]
fn logs_of_earlier_versions_lead_to_the_same_conclusions() {
    let mut all = Vec::new();
    for folder in versions() {
        let (expected, logs) = (expected(&folder), logs(&folder));
        assert!(expected.keys().eq(logs.keys()), "{folder:?} has logs without an expectation");
        for (name, findings) in expected {
            let found = Value::Array(conclusions(&logs[&name]));
            all.extend(differences(&name, &Value::Array(findings), &found));
        }
    }
    assert!(all.is_empty(), "{} differences:\n{}", all.len(), all.join("\n"));
}

#[test]
fn logs_of_earlier_versions_are_valid() {
    for log in versions().iter().flat_map(|folder| logs(folder).into_values()) {
        report(&log, &["--check"]);
    }
}

#[test]
fn the_logs_of_0_1_0_reach_every_rule_and_every_confidence() {
    let findings: Vec<Value> =
        expected(&recorded().join("0.1.0")).into_values().flatten().collect();
    let rules = findings.iter().flat_map(|finding| finding["rules"].as_array().unwrap());
    let rules: BTreeSet<&str> = rules.map(|rule| rule.as_str().unwrap()).collect();
    assert_eq!(rules, BTreeSet::from(RULES));
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    let confidences: BTreeSet<(String, String)> = findings
        .iter()
        .map(|finding| (text(finding, "kind"), text(finding, "confidence")))
        .collect();
    let all = CONFIDENCES.map(|(kind, confidence)| (kind.to_owned(), confidence.to_owned()));
    assert_eq!(confidences, BTreeSet::from(all));
}

#[test]
fn a_difference_is_seen() {
    let expected =
        json!({"confidence": "certain", "holder": {"tid": 7}, "rules": ["a"], "fork": null});
    let same = json!({"confidence": "certain", "holder": {"tid": 7, "new": 1}, "rules": ["a"]});
    assert!(differences("", &expected, &same).is_empty());
    let other =
        json!({"confidence": "likely", "holder": {"tid": 8}, "rules": ["a", "b"], "fork": 1});
    let paths: Vec<String> = differences("log", &expected, &other)
        .iter()
        .map(|one| one.split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(paths, ["log/confidence", "log/fork", "log/holder/tid", "log/rules"]);
    let gone = differences("log", &json!([expected]), &json!([]));
    assert_eq!(gone.len(), 1);
}

//! `forktrace export --format sarif`: what code hosts and editors demand of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::{Value, json};

fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The export of a log, made in the root folder.
fn sarif(log: &str, arguments: &[&str]) -> Value {
    let mut command = Command::cargo_bin("forktrace").unwrap();
    command.current_dir("/").arg("export").arg(golden(log)).args(["--format", "sarif"]);
    let assert = command.args(arguments).assert().success().stderr("");
    serde_json::from_slice(&assert.get_output().stdout).unwrap()
}

/// The schemas of a message, a file and a place.
fn places() -> [Value; 3] {
    let message = json!({
        "type": "object", "required": ["text"], "additionalProperties": false,
        "properties": { "text": { "type": "string" } },
    });
    let artifact = json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "uri": { "type": "string", "pattern": "^[A-Za-z0-9._~%/:-]*$" },
            "uriBaseId": { "type": "string" },
        },
    });
    let location = json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "physicalLocation": {
                "type": "object", "required": ["artifactLocation"], "additionalProperties": false,
                "properties": {
                    "artifactLocation": artifact,
                    "region": {
                        "type": "object", "additionalProperties": false,
                        "properties": { "startLine": { "type": "integer", "minimum": 1 } },
                    },
                },
            },
            "logicalLocations": {
                "type": "array", "uniqueItems": true,
                "items": {
                    "type": "object", "additionalProperties": false,
                    "properties": {
                        "fullyQualifiedName": { "type": "string" }, "kind": { "type": "string" },
                    },
                },
            },
            "message": message,
        },
    });
    [message, artifact, location]
}

/// What the standard's own schema (sarif-schema-2.1.0.json) demands of the objects that are written: their
/// required members, types, values that are listed, and no others than are known there.
fn schema() -> Value {
    let [message, artifact, location] = places();
    let rule = json!({
        "type": "object", "required": ["id"], "additionalProperties": false,
        "properties": { "id": { "type": "string" }, "shortDescription": message },
    });
    let result = json!({
        "type": "object", "required": ["message"], "additionalProperties": false,
        "properties": {
            "ruleId": { "type": "string" },
            "ruleIndex": { "type": "integer", "minimum": -1 },
            "level": { "enum": ["none", "note", "warning", "error"] },
            "message": message,
            "locations": { "type": "array", "items": location },
            "relatedLocations": { "type": "array", "uniqueItems": true, "items": location },
            "occurrenceCount": { "type": "integer", "minimum": 1 },
            "partialFingerprints": { "type": "object", "additionalProperties": { "type": "string" } },
            "properties": { "type": "object" },
        },
    });
    let driver = json!({
        "type": "object", "required": ["name"], "additionalProperties": false,
        "properties": {
            "name": { "type": "string" },
            "version": { "type": "string" },
            "rules": { "type": "array", "uniqueItems": true, "items": rule },
        },
    });
    let tool = json!({
        "type": "object", "required": ["driver"], "additionalProperties": false,
        "properties": { "driver": driver },
    });
    let run = json!({
        "type": "object", "required": ["tool"], "additionalProperties": false,
        "properties": {
            "tool": tool,
            "originalUriBaseIds": { "type": "object", "additionalProperties": artifact },
            "columnKind": { "enum": ["utf16CodeUnits", "unicodeCodePoints"] },
            "results": { "type": "array", "items": result },
        },
    });
    json!({
        "type": "object", "required": ["version", "runs"], "additionalProperties": false,
        "properties": {
            "$schema": { "type": "string" },
            "version": { "const": "2.1.0" },
            "runs": { "type": "array", "items": run },
        },
    })
}

fn check(sarif: &Value) {
    let schema = schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(sarif).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let rules = sarif.pointer("/runs/0/tool/driver/rules").and_then(Value::as_array).unwrap();
    for result in results(sarif) {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules.get(index).unwrap()["id"], result["ruleId"]);
    }
}

fn results(sarif: &Value) -> &Vec<Value> {
    sarif.pointer("/runs/0/results").and_then(Value::as_array).unwrap()
}

/// Rule, level, and the first place.
fn summary(result: &Value) -> (&str, &str, String) {
    let place = result.pointer("/locations/0/physicalLocation").cloned().unwrap_or_default();
    let uri = place.pointer("/artifactLocation/uri").and_then(Value::as_str).unwrap_or_default();
    let line = place.pointer("/region/startLine").unwrap_or(&Value::Null);
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap();
    (text("ruleId"), text("level"), format!("{uri}:{line}"))
}

#[test]
fn work_for_lost_threads_is_shown_at_the_fork() {
    let plain = sarif("handed_over.jsonl", &[]);
    check(&plain);
    let place = "srv/app/server/common.h:57";
    let all: Vec<_> = results(&plain).iter().map(summary).collect();
    assert_eq!(all, [("threads-lost", "error", place.to_owned())]);
    // Where the lost thread was.
    let related = &results(&plain)[0]["relatedLocations"][0];
    assert_eq!(related["physicalLocation"]["region"]["startLine"], 72);
    assert_eq!(related["logicalLocations"][0]["fullyQualifiedName"], "work");
    let audited = sarif("handed_over.jsonl", &["--audit"]);
    check(&audited);
    let all: Vec<_> = results(&audited).iter().map(summary).collect();
    let risk = ("fork-with-threads", "warning", place.to_owned());
    assert_eq!(all, [risk, ("threads-lost", "error", place.to_owned())]);
}

#[test]
fn one_fault_in_several_workers_is_one_result() {
    let sarif = sarif("prefork.jsonl", &[]);
    check(&sarif);
    let results = results(&sarif);
    let count: u64 = results.iter().filter_map(|one| one["occurrenceCount"].as_u64()).sum();
    assert!(results.len() < 3 && count == 3, "{results:#?}");
    assert!(results.iter().all(|one| one["level"] == "error"), "{results:#?}");
}

#[test]
fn a_trace_without_findings_is_valid_too() {
    let sarif = sarif("mutex_of_thread.jsonl", &["--suspects"]);
    check(&sarif);
}

#[test]
fn a_mistake_is_seen() {
    let mut sarif = sarif("handed_over.jsonl", &[]);
    sarif["runs"][0]["results"][0]["level"] = json!("fatal");
    let schema = schema();
    assert!(!jsonschema::validator_for(&schema).unwrap().is_valid(&sarif));
}

/// A log in which nothing is lost yet: all lines but those about work.
fn without_work() -> tempfile::NamedTempFile {
    use std::io::Write as _;
    let log = std::fs::read_to_string(golden("handed_over.jsonl")).unwrap();
    let mut file = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
    let mut looks = 0;
    for line in log.lines() {
        looks += usize::from(line.contains("\"threads.lost\""));
        let is_work = line.contains("\"threads.lost\"") && looks > 1;
        if !is_work && !line.contains("\"type\":\"finding\"") {
            writeln!(file, "{line}").unwrap();
        }
    }
    assert!(looks > 1);
    file
}

#[test]
fn with_an_exit_status_an_audit_is_a_gate() {
    let log = without_work();
    let report = |arguments: &[&str]| {
        let mut command = Command::cargo_bin("forktrace").unwrap();
        let command = command.arg("report").arg(log.path()).args(["-q", "--exit-code", "3"]);
        let output = command.args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = report(&[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("RISK"), "{said}");
    let (code, said) = report(&["--audit"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.starts_with("RISK  server["), "{said}");
    assert!(said.contains("seen in the process that forked, 208 ms after the fork"), "{said}");
}

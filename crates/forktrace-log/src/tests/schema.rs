use jsonschema::Validator;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{any, any_finding, identity, start};
use crate::{Writer, schema};

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

fn faults(validator: &Validator, line: &Value) -> Vec<String> {
    validator
        .iter_errors(line)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .collect()
}

fn line(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

/// The logs that are checked in were recorded by this and by older versions.
#[test]
fn recorded_logs_fit_the_schema() {
    let validator = validator();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../forktrace/tests/golden");
    let mut lines = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for text in std::fs::read_to_string(&path).unwrap().lines() {
            assert_eq!(faults(&validator, &line(text.as_bytes())), [""; 0], "{path:?}: {text}");
            lines += 1;
        }
    }
    assert!(lines > 30);
}

#[test]
fn what_is_no_line_does_not_fit() {
    let validator = validator();
    let mut writer = Writer::new(Vec::new(), 0);
    writer.event(&super::fork(), None).unwrap();
    let good = line(&writer.into_inner());
    assert_eq!(faults(&validator, &good), [""; 0]);
    for (field, value) in [
        ("schema", json!(2)),
        ("seq", json!("1")),
        ("ts", json!("yesterday")),
        ("boot_ns", json!(null)),
        ("pid", json!(-1)),
        ("comm", json!(7)),
        ("child_pid", json!(null)),
        ("clone_flags", json!(18_874_385)),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(!validator.is_valid(&bad), "{field}");
        bad.as_object_mut().unwrap().remove(field);
        assert!(!validator.is_valid(&bad), "without {field}");
    }
    let mut newer = good;
    newer["type"] = json!("disk.warmth");
    newer["degrees"] = json!(40);
    assert!(validator.is_valid(&newer), "types and fields may be added");
}

proptest! {
    #[test]
    fn every_line_that_can_be_written_fits_the_schema(
        events in prop::collection::vec(any::event(), 1..6),
        finding in any_finding::finding(),
    ) {
        let validator = validator();
        let mut writer = Writer::new(Vec::new(), 0);
        writer.event(&start(), None).unwrap();
        for event in &events {
            writer.event(event, Some(&identity())).unwrap();
        }
        writer.finding(&finding, 1, None).unwrap();
        for text in writer.into_inner().split(|byte| *byte == b'\n').filter(|text| !text.is_empty()) {
            prop_assert_eq!(faults(&validator, &line(text)), [""; 0]);
        }
    }
}

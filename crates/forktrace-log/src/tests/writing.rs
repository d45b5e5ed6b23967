use proptest::prelude::*;
use serde_json::Value;

use super::{any, any_finding, end, fork, identity, read, start};
use crate::{LineKind, Writer, proc_uid};
use forktrace_model::event::{Body, Event, ProcessSnapshot};

#[test]
fn a_line_has_the_common_fields_and_its_own() {
    let mut writer = Writer::new(Vec::new(), 1_764_000_000_000_000_000);
    writer.event(&fork(), Some(&identity())).unwrap();
    assert_eq!(writer.lines(), 1);
    let text = String::from_utf8(writer.into_inner()).unwrap();
    insta::assert_snapshot!(text, @r#"{"schema":1,"type":"process.fork","seq":1,"ts":"2025-11-24T16:00:02.000000000Z","boot_ns":2000000000,"pid":4200,"tid":4207,"comm":"gunicorn","proc_uid":"8f1c2a3b-4200-1000","ppid":1,"parent_uid":"8f1c2a3b-1-10","child_pid":4312,"clone_flags":"0x1200011"}"#);
}

#[test]
fn what_a_terminal_would_obey_is_escaped_and_comes_back() {
    // CSI as one character (C1), delete, a change of direction, a tag character of two units.
    let comm = "a\u{9b}2J\u{7f}\u{202e}\u{e0041}é\u{1b}\"";
    let mut event = fork();
    event.task.as_mut().unwrap().comm = comm.into();
    let mut writer = Writer::new(Vec::new(), 0);
    writer.event(&start(), None).unwrap();
    writer.event(&event, None).unwrap();
    let bytes = writer.into_inner();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(text.contains(r#""a\u009b2J\u007f\u202e\udb40\udc41é\u001b\"""#), "{text}");
    let (lines, _) = read(&bytes);
    assert!(matches!(&lines[1].as_ref().unwrap().kind, LineKind::Event(back) if *back == event));
}

#[test]
fn times_outside_of_the_calendar_are_still_written() {
    for (boot_ns, offset) in [(u64::MAX, i64::MAX), (0, i64::MIN), (u64::MAX, i64::MIN)] {
        let mut writer = Writer::new(Vec::new(), offset);
        writer.event(&Event { boot_ns, ..start() }, None).unwrap();
        let (lines, _) = read(&writer.into_inner());
        assert_eq!(lines[0].as_ref().unwrap().boot_ns, boot_ns);
    }
}

#[test]
fn a_snapshots_own_ppid_is_the_only_one() {
    let body = Body::ProcessSnapshot(ProcessSnapshot { ppid: 77, ..Default::default() });
    let mut writer = Writer::new(Vec::new(), 0);
    writer.event(&start(), None).unwrap();
    writer.event(&Event { body, ..fork() }, Some(&identity())).unwrap();
    let text = String::from_utf8(writer.into_inner()).unwrap();
    assert_eq!(text.matches("\"ppid\"").count(), 1);
    assert!(text.contains("\"ppid\":77"));
}

#[test]
fn proc_uid_takes_eight_digits_of_any_boot_id() {
    let id = "8f1c2a3b-1111-4222-8333-444444444444";
    assert_eq!(proc_uid(id, 4200, 1000), "8f1c2a3b-4200-1000");
    assert_eq!(proc_uid("8f1-c2a3b9", 1, 2), "8f1c2a3b-1-2");
    assert_eq!(proc_uid("\x1b[é", 1, 2), "-1-2");
}

proptest! {
    #[test]
    fn every_event_comes_back_as_it_was_written(
        events in prop::collection::vec(any::event(), 0..8),
        offset in any::<i64>(),
        known in any::<bool>(),
    ) {
        let id = identity();
        let mut writer = Writer::new(Vec::new(), offset);
        writer.event(&start(), None).unwrap();
        for event in &events {
            writer.event(event, known.then_some(&id)).unwrap();
        }
        writer.event(&end(), None).unwrap();
        let (lines, summary) = read(&writer.into_inner());
        let back: Vec<_> = lines.into_iter().map(|line| line.unwrap().kind).collect();
        let mut all = vec![start()];
        all.extend(events);
        all.push(end());
        let all: Vec<_> = all.into_iter().map(LineKind::Event).collect();
        prop_assert_eq!(back, all);
        prop_assert!(summary.started && summary.ended && summary.first_gap.is_none());
        prop_assert_eq!((summary.bad, summary.unknown), (0, 0));
    }

    #[test]
    fn every_finding_comes_back_as_it_was_written(finding in any_finding::finding(), boot_ns: u64) {
        let id = identity();
        let mut writer = Writer::new(Vec::new(), 0);
        writer.event(&start(), None).unwrap();
        writer.finding(&finding, boot_ns, Some(&id)).unwrap();
        let (lines, _) = read(&writer.into_inner());
        let line = lines[1].as_ref().unwrap();
        prop_assert_eq!(line.boot_ns, boot_ns);
        prop_assert_eq!(&line.kind, &LineKind::Finding(Box::new(finding)));
    }

    #[test]
    fn every_line_is_one_line_and_one_json_object(event in any::event()) {
        let mut writer = Writer::new(Vec::new(), 0);
        writer.event(&event, Some(&identity())).unwrap();
        let text = String::from_utf8(writer.into_inner()).unwrap();
        prop_assert_eq!(text.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&text).unwrap();
        let object = value.as_object().unwrap();
        for key in ["schema", "type", "seq", "ts", "boot_ns"] {
            prop_assert!(object.contains_key(key), "no {}", key);
        }
    }
}

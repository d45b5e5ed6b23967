//! Records of a recorded hang.

#![allow(clippy::unwrap_used, reason = "tests")]

use forktrace_log::{Input, LineKind, Reader};

use super::*;
use crate::{pipeline::Follow, report::Clock, serve::alert::Alert};

static LOG: &[u8] = include_bytes!("../../../../tests/golden/prefork.jsonl");

/// The first finding of a recorded run of a server.
pub(in crate::serve) fn alert() -> Arc<Alert> {
    let mut pipeline = crate::pipeline::Pipeline::new(Follow::default(), Nothing);
    for line in Reader::new(Input::new(LOG).unwrap()) {
        if let LineKind::Event(event) = line.unwrap().kind {
            pipeline.event(&event).unwrap();
            if let Some(judged) = pipeline.judge().findings().first().cloned() {
                let clock = Clock { offset_ns: 1_000, zone: jiff::tz::TimeZone::UTC };
                let (process, since_ns) = (judged.process, judged.since_ns);
                let follow = pipeline.follow();
                let alert =
                    Alert::new(&judged.finding, process, since_ns, follow, &clock, event.boot_ns);
                return Arc::new(alert);
            }
        }
    }
    unreachable!("a finding is in it");
}

struct Nothing;

impl crate::pipeline::Sink for Nothing {
    fn event(&mut self, _: &crate::pipeline::At<'_>) -> std::io::Result<()> {
        Ok(())
    }
}

fn host() -> Host {
    let resource = vec![("service.name".to_owned(), "shop".to_owned())];
    Host { name: Some("node-1".into()), id: None, resource, offset_ns: 1_000 }
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let mut found = attributes.iter().filter(|one| one.key == key);
    let first = found.next()?;
    assert!(found.next().is_none(), "{key} is there once");
    first.value.as_ref()?.value.as_ref()
}

#[test]
fn a_finding_is_an_error_of_the_process_that_hangs() {
    let alert = alert();
    let request = request(&[Message::found(&alert)], &host());
    let logs = &request.resource_logs[0];
    let resource = &logs.resource.as_ref().unwrap().attributes;
    let text = |value: &str| Some(Value::StringValue(value.to_owned()));
    assert_eq!(value(resource, "service.name").cloned(), text("shop"), "the environment wins");
    assert_eq!(value(resource, "host.name").cloned(), text("node-1"));
    let pid = Some(Value::IntValue(alert.finding.pid.into()));
    assert_eq!(value(resource, "process.pid").cloned(), pid);
    let record = &logs.scope_logs[0].log_records[0];
    assert_eq!(record.event_name, "forktrace.finding");
    let wanted = match alert.judged.confidence {
        Confidence::Certain => (17, "ERROR"),
        Confidence::Likely => (13, "WARN"),
        Confidence::Suspect => (9, "INFO"),
    };
    assert_eq!((record.severity_number, &*record.severity_text), wanted);
    assert_eq!(record.time_unix_nano, alert.boot_ns + 1_000);
    let kind = value(&record.attributes, "error.type").cloned();
    assert_eq!(kind, text(&alert.finding.kind));
    assert!(value(&record.attributes, "code.function.name").is_some());
    let Some(Value::StringValue(body)) = record.body.as_ref().and_then(|body| body.value.clone())
    else {
        unreachable!("a body is text");
    };
    assert!(body.starts_with("HANG") && body.lines().count() > 5, "{body}");
    let keys: Vec<&String> = record.attributes.iter().chain(resource).map(|one| &one.key).collect();
    for never in ["process.command", "process.command_args", "process.environment_variable"] {
        assert!(keys.iter().all(|key| !key.starts_with(never)), "{keys:?}");
    }
}

#[test]
fn its_end_is_information_with_how_and_when() {
    let alert = alert();
    let over = Message::over(&alert, How::Killed, 5_000_000_000);
    let request = request(&[over], &host());
    let record = &request.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!((&*record.event_name, record.severity_number), ("forktrace.finding.ended", 9));
    let how = value(&record.attributes, "forktrace.ended.how").cloned();
    assert_eq!(how, Some(Value::StringValue("killed".into())));
    let lasted = value(&record.attributes, "forktrace.wait.duration").cloned();
    assert_eq!(lasted, Some(Value::DoubleValue(5.0)));
    assert_eq!(record.time_unix_nano, alert.since_ns + 5_000_001_000);
}

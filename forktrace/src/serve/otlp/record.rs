//! A finding as a log record.

use std::sync::Arc;

use forktrace_model::{
    event::stacks::{Frame, Place},
    finding::{Confidence, Severity},
    frames::Layer,
};
use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
};

use crate::{
    report,
    serve::{alert::Alert, metrics::How},
};

/// The names of resources and attributes are those of this version of the semantic conventions.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Something to be sent.
#[derive(Clone, Debug)]
pub(super) struct Message {
    alert: Arc<Alert>,
    /// How it ended, and after how many ns; `None`: it has not.
    over: Option<(How, u64)>,
}

impl Message {
    /// There is a finding, or a surer one.
    pub(super) fn found(alert: &Arc<Alert>) -> Self {
        Message { alert: Arc::clone(alert), over: None }
    }

    /// A finding is over, after so many ns.
    pub(super) fn over(alert: &Arc<Alert>, how: How, lasted_ns: u64) -> Self {
        Message { alert: Arc::clone(alert), over: Some((how, lasted_ns)) }
    }
}

/// What all records have in common.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: Option<String>,
    pub(super) id: Option<String>,
    pub(super) resource: Vec<(String, String)>,
    /// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`, ns.
    pub(super) offset_ns: i64,
}

/// Attributes with their names.
#[derive(Debug, Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn put(&mut self, key: &str, value: Value) {
        self.0.retain(|one| one.key != key);
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue { key: key.to_owned(), value, ..KeyValue::default() });
    }

    fn text(&mut self, key: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.put(key, Value::StringValue(value));
        }
    }

    fn number(&mut self, key: &str, value: impl Into<i64>) {
        self.put(key, Value::IntValue(value.into()));
    }

    fn seconds(&mut self, key: &str, ns: u64) {
        self.put(key, Value::DoubleValue(ns as f64 / 1e9));
    }
}

/// The request that sends these.
pub(super) fn request(messages: &[Message], host: &Host) -> ExportLogsServiceRequest {
    let resource_logs = messages.iter().map(|message| {
        let scope = InstrumentationScope {
            name: "forktrace".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..InstrumentationScope::default()
        };
        let scope_logs = ScopeLogs {
            scope: Some(scope),
            log_records: vec![record(message, host)],
            schema_url: SCHEMA.into(),
        };
        ResourceLogs {
            resource: Some(resource(&message.alert, host)),
            scope_logs: vec![scope_logs],
            schema_url: SCHEMA.into(),
        }
    });
    ExportLogsServiceRequest { resource_logs: resource_logs.collect() }
}

/// The process that hangs.
fn resource(alert: &Alert, host: &Host) -> Resource {
    let (workload, finding) = (&alert.workload, &alert.finding);
    let mut all = Attributes::default();
    all.text("service.name", workload.executable.clone());
    for (name, value) in &host.resource {
        all.text(name, value.clone());
    }
    all.text("host.name", host.name.clone().unwrap_or_default());
    all.text("host.id", host.id.clone().unwrap_or_default());
    all.text("container.id", workload.container_id.clone().unwrap_or_default());
    all.text("k8s.pod.uid", workload.pod_uid.clone().unwrap_or_default());
    all.number("process.pid", finding.pid);
    all.number("process.parent_pid", finding.ppid);
    if let Some(ns_pid) = finding.ns_pid {
        all.number("process.vpid", ns_pid);
    }
    all.text("process.executable.name", workload.executable.clone());
    all.text("process.executable.path", workload.path.clone().unwrap_or_default());
    all.text("process.linux.cgroup", workload.cgroup.clone().unwrap_or_default());
    if let Some(uid) = workload.uid {
        all.number("process.user.id", uid);
    }
    if workload.start_ns > 0 {
        let clock = report::Clock { offset_ns: host.offset_ns, zone: jiff::tz::TimeZone::UTC };
        all.text("process.creation.time", clock.timestamp(workload.start_ns));
    }
    Resource { attributes: all.0, ..Resource::default() }
}

fn record(message: &Message, host: &Host) -> LogRecord {
    let Message { alert, over } = message;
    let unix_ns = |boot_ns: u64| boot_ns.saturating_add_signed(host.offset_ns);
    let severity = match (over, alert.judged.confidence) {
        (None, Confidence::Certain) => SeverityNumber::Error,
        (None, Confidence::Likely) => SeverityNumber::Warn,
        (None, Confidence::Suspect) | (Some(_), _) => SeverityNumber::Info,
    };
    let (name, body, boot_ns) = match over {
        None => ("forktrace.finding", alert.block.clone(), alert.boot_ns),
        Some((how, lasted_ns)) => {
            let text = format!("{} ({})", report::duration(*lasted_ns), how.name());
            let text = format!("stuck no more after {text}: {}", alert.text);
            ("forktrace.finding.ended", text, alert.since_ns.saturating_add(*lasted_ns))
        }
    };
    let mut all = attributes(alert);
    if let Some((how, lasted_ns)) = over {
        all.text("forktrace.ended.how", how.name());
        all.seconds("forktrace.wait.duration", *lasted_ns);
    }
    LogRecord {
        time_unix_nano: unix_ns(boot_ns),
        observed_time_unix_nano: unix_ns(boot_ns),
        severity_number: severity.into(),
        severity_text: severity.as_str_name().trim_start_matches("SEVERITY_NUMBER_").into(),
        body: Some(AnyValue { value: Some(Value::StringValue(body)) }),
        attributes: all.0,
        event_name: name.into(),
        ..LogRecord::default()
    }
}

fn attributes(alert: &Alert) -> Attributes {
    let (finding, judged) = (&alert.finding, &alert.judged);
    let mut all = Attributes::default();
    all.number("thread.id", finding.tid);
    all.text("thread.name", finding.comm.clone());
    all.text("error.type", finding.kind.clone());
    all.text("forktrace.finding.id", alert.id.clone());
    all.text("forktrace.finding.kind", finding.kind.clone());
    all.text("forktrace.finding.confidence", finding.confidence.clone());
    let severity = match alert.severity {
        Severity::Hang => "hang",
        Severity::Corruption => "corruption",
        Severity::Risk => "risk",
    };
    all.text("forktrace.finding.severity", severity);
    all.seconds("forktrace.wait.duration", alert.boot_ns.saturating_sub(alert.since_ns));
    place(&mut all, alert);
    if let Some(lock) = judged.lock() {
        all.text("forktrace.lock.kind", lock.family.id);
        all.text("forktrace.lock.address", format!("{:#x}", lock.address));
        if let Some(Place::Module { path, symbol, .. }) = &lock.place {
            all.text("forktrace.lock.module", path.clone());
            all.text("forktrace.lock.symbol", symbol.clone().unwrap_or_default());
        }
    }
    if let Some(wait) = &finding.wait
        && let Some(holder) = &wait.holder
    {
        all.number("forktrace.holder.pid", holder.pid);
        all.number("forktrace.holder.thread.id", holder.tid);
        all.text("forktrace.holder.thread.name", holder.comm.clone().unwrap_or_default());
    }
    if let Some(fork) = &finding.fork {
        all.number("forktrace.fork.pid", fork.by_pid);
        all.number("forktrace.fork.thread.id", fork.by_tid);
        all.number("forktrace.fork.threads_lost", fork.threads_lost);
        all.text("forktrace.fork.stacktrace", stack(&fork.stack));
    }
    let siblings = i64::try_from(finding.same_lock_in.len()).unwrap_or(i64::MAX);
    all.number("forktrace.siblings", siblings);
    all.number("forktrace.held_back", i64::try_from(alert.held_back).unwrap_or(i64::MAX));
    let proofs: Vec<&str> = finding.evidence.iter().map(|proof| &*proof.rule).collect();
    all.text("forktrace.proof", proofs.join(" "));
    all.text("forktrace.advice", finding.remedy.clone().unwrap_or_default());
    all
}

/// Where the task is stuck: the innermost function of the program itself.
fn place(all: &mut Attributes, alert: &Alert) {
    let judged = &alert.judged;
    if let Some(frame) = judged.python().first() {
        all.text("code.function.name", frame.function.clone());
        all.text("code.file.path", frame.file.clone());
        all.number("code.line.number", frame.line);
        let frames = judged.python().iter();
        let lines = frames.map(|frame| {
            format!("  File \"{}\", line {}, in {}", frame.file, frame.line, frame.function)
        });
        all.text("code.stacktrace", lines.collect::<Vec<_>>().join("\n"));
        return;
    }
    let frames = judged.stack();
    let own = frames.iter().find(|frame| frame.layer() == Layer::Program).or(frames.first());
    let Some(frame) = own else { return };
    all.text("code.function.name", frame.symbol.clone().unwrap_or_default());
    all.text("code.file.path", frame.file.clone().unwrap_or_default());
    if let Some(line) = frame.line {
        all.number("code.line.number", line);
    }
    all.text("code.stacktrace", stack(frames));
}

/// A frame a line, innermost first.
fn stack(frames: &[Frame]) -> String {
    let line = |frame: &Frame| {
        let module = frame.module.as_deref().unwrap_or("?");
        let name = frame.symbol.clone().unwrap_or_else(|| format!("{:#x}", frame.address));
        match (&frame.file, frame.line) {
            (Some(file), Some(line)) => format!("{name} ({file}:{line}) [{module}]"),
            _ => format!("{name} [{module}]"),
        }
    };
    let lines = frames.iter().map(|frame| report::sanitize(&line(frame)).into_owned());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
pub(super) mod tests;

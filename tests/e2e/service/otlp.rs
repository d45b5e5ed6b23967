//! Findings that are sent as OTLP.

use std::{fs, process::Command};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{Hang, SOON, Service, name, receiver::Receiver};

/// The receiver comes late, is busy, and goes away: each finding arrives once.
pub(super) fn late() -> Result<()> {
    let name = name("p");
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let url = format!("http://127.0.0.1:{port}");
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=secret%20one"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2000"),
    ];
    let mut service = Service::start(&name, &[], &environment)?;
    let hang = Hang::start(&name)?;
    service.until("told", SOON, |service| {
        service.job.stderr().contains("the OTLP receiver does not take findings")
    })?;
    service.until("found", SOON, |service| service.found().len() == 1)?;
    let receiver = Receiver::start(port, &[503, 200])?;
    service.until("sent", SOON, |service| {
        service.metric("forktrace_export_records_total", "exporter=\"otlp\",result=\"sent\"") >= 1.0
    })?;
    let requests = receiver.stop();
    let taken: Vec<_> = requests.iter().filter(|request| request.status == 200).collect();
    ensure!(taken.len() == 1 && requests.len() == 2, "{requests:?}");
    let request = taken[0];
    ensure!(request.head.starts_with("POST /v1/logs HTTP/1.1\r\n"), "{}", request.head);
    let head = request.head.to_lowercase();
    for line in ["content-type: application/x-protobuf", "x-token: secret one"] {
        ensure!(head.contains(line), "{head}");
    }
    let body = String::from_utf8_lossy(&request.body);
    for text in [&name, "forktrace.finding", "inherited-lock", "process.executable.name"] {
        ensure!(body.contains(text), "{text} is missing in {body}");
    }
    ensure!(!service.job.stderr().contains("secret"), "headers are never shown");
    hang.end()?;
    service.stop()
}

/// OpenTelemetry's own messages for Python read what is sent, compressed.
pub(super) fn decoded() -> Result<()> {
    let (name, folder) = (name("q"), tempfile::tempdir()?);
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let receiver = Receiver::start(port, &[200])?;
    let url = format!("http://127.0.0.1:{port}");
    let environment = [
        ("OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", "gzip"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let mut service = Service::start(&name, &["--otlp-endpoint", &url], &environment)?;
    let hang = Hang::start(&name)?;
    let sent = |service: &Service, least: f64| {
        service.metric("forktrace_export_records_total", "exporter=\"otlp\",result=\"sent\"")
            >= least
    };
    service.until("sent", SOON, |service| sent(service, 1.0))?;
    hang.end()?;
    service.until("its end sent", SOON, |service| sent(service, 2.0))?;
    service.stop()?;
    let script = "import gzip, json, sys\n\
                  from google.protobuf.json_format import MessageToDict\n\
                  from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import \
                  ExportLogsServiceRequest as R\n\
                  r = R.FromString(gzip.decompress(open(sys.argv[1], 'rb').read()))\n\
                  print(json.dumps(MessageToDict(r)))\n";
    let mut records = Vec::new();
    for (at, request) in receiver.stop().into_iter().enumerate() {
        let path = folder.path().join(at.to_string());
        fs::write(&path, &request.body)?;
        let python = forktrace_tests::reading_python();
        let output = Command::new(python).args(["-c", script]).arg(&path).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json: Value = serde_json::from_slice(&output.stdout)?;
        records.extend(json["resourceLogs"].as_array().cloned().unwrap_or_default());
    }
    ensure!(records.len() == 2, "{records:?}");
    let text = |attributes: &Value, key: &str| -> String {
        let found = attributes.as_array().into_iter().flatten().find(|one| one["key"] == key);
        found.and_then(|one| one["value"]["stringValue"].as_str()).unwrap_or_default().to_owned()
    };
    let of = |at: usize| {
        (&records[at]["resource"]["attributes"], &records[at]["scopeLogs"][0]["logRecords"][0])
    };
    let (resource, record) = of(0);
    ensure!(text(resource, "service.name") == name, "{resource}");
    ensure!(text(resource, "deployment.environment.name") == "test", "{resource}");
    ensure!(record["eventName"] == "forktrace.finding", "{record}");
    ensure!(record["severityNumber"] == "SEVERITY_NUMBER_ERROR", "{record}");
    ensure!(text(&record["attributes"], "code.function.name") == "main", "{record}");
    let (_, over) = of(1);
    ensure!(over["eventName"] == "forktrace.finding.ended", "{over}");
    ensure!(text(&over["attributes"], "forktrace.ended.how") == "killed", "{over}");
    let id = |record: &Value| text(&record["attributes"], "forktrace.finding.id");
    ensure!(id(record) == id(over) && !id(over).is_empty(), "{over}");
    Ok(())
}

/// A receiver that takes a connection and never answers.
pub(super) fn hangs() -> Result<()> {
    let name = name("h");
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}", listener.local_addr()?);
    let environment = [("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")];
    let mut service = Service::start(&name, &["--otlp-endpoint", &url], &environment)?;
    let first = Hang::start(&name)?;
    service.until("found", SOON, |service| service.found().len() == 1)?;
    service
        .until("told", SOON, |service| service.job.stderr().contains("does not take findings"))?;
    let second = Hang::start(&name)?;
    service.until("found too", SOON, |service| service.found().len() == 2)?;
    service.until("kept", SOON, |service| {
        service.metric("forktrace_export_queue_records", "otlp") >= 1.0
    })?;
    first.end()?;
    second.end()?;
    service.stop()
}

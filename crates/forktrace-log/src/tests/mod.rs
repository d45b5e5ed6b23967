#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod any;
mod any_buffers;
mod any_file_lock;
mod any_finding;
mod any_generators;
mod any_socket;
mod checking;
mod compressed;
mod file;
mod native;
mod quick;
mod reading;
mod recording;
mod schema;
mod writing;

use super::{Identity, Line, ReadError, Reader, Summary, Writer};
use forktrace_model::event::{Body, Event, ProcessFork, Task, TraceEnd};

fn start() -> Event {
    Event { boot_ns: 1, task: None, body: Body::TraceStart(Box::default()) }
}

fn fork() -> Event {
    Event {
        boot_ns: 2_000_000_000,
        task: Some(Task { pid: 4200, tid: 4207, comm: "gunicorn".into() }),
        body: Body::ProcessFork(ProcessFork { child_pid: 4312, clone_flags: 0x0120_0011 }),
    }
}

fn end() -> Event {
    Event { boot_ns: 3_000_000_000, task: None, body: Body::TraceEnd(TraceEnd::default()) }
}

fn identity() -> Identity {
    Identity {
        proc_uid: "8f1c2a3b-4200-1000".into(),
        ppid: Some(1),
        parent_uid: Some("8f1c2a3b-1-10".into()),
    }
}

/// The log of these events.
fn log(events: &[Event]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), 0);
    for event in events {
        writer.event(event, None).unwrap();
    }
    writer.into_inner()
}

fn read(bytes: &[u8]) -> (Vec<Result<Line, ReadError>>, Summary) {
    let mut reader = Reader::new(bytes);
    let lines = reader.by_ref().collect();
    (lines, reader.summary().clone())
}

fn errors(lines: &[Result<Line, ReadError>]) -> Vec<String> {
    lines.iter().filter_map(|line| line.as_ref().err()).map(ToString::to_string).collect()
}

//! Events and findings to lines.

use std::io::{self, Write};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Serializer, ser::Formatter};

use super::{FINDING, SCHEMA, finding_line::FindingLine};
use forktrace_model::text::is_hostile;
use forktrace_model::{
    event::{Body, Event, Task},
    json_number,
};

/// Who a task's process is, beyond its pid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// See [`proc_uid`].
    pub proc_uid: String,
    /// The process's parent, where known.
    pub ppid: Option<u32>,
    /// The parent's [`proc_uid`], where known.
    pub parent_uid: Option<String>,
}

/// A process's identity in every log of one boot: `<first 8 hex digits of boot id>-<pid>-<start>`.
///
/// `boot_id` is `/proc/sys/kernel/random/boot_id`, `start_ns` the process's start on
/// `CLOCK_BOOTTIME` in ns. Unlike the pid alone, it is never used again.
pub fn proc_uid(boot_id: &str, pid: u32, start_ns: u64) -> String {
    // It has 36 characters; one that has many more is not gone through for each process.
    let boot: String = boot_id.chars().take(36).filter(char::is_ascii_hexdigit).take(8).collect();
    format!("{boot}-{pid}-{start_ns}")
}

/// Writes the lines of one log, numbering them from 1.
#[derive(Debug)]
pub struct Writer<W: Write> {
    out: W,
    clock_offset_ns: i64,
    next_seq: u64,
    buffer: Vec<u8>,
}

/// What every line has, and the line's own fields.
#[derive(Serialize)]
struct Envelope<'a, T: Serialize> {
    schema: u64,
    #[serde(rename = "type")]
    kind: &'static str,
    seq: u64,
    ts: String,
    #[serde(with = "json_number")]
    boot_ns: u64,
    #[serde(flatten)]
    task: Option<&'a Task>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proc_uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ppid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_uid: Option<&'a str>,
    #[serde(flatten)]
    body: &'a T,
}

/// The fields of a line that do not come from its body.
struct Head<'a> {
    kind: &'static str,
    boot_ns: u64,
    task: Option<&'a Task>,
    identity: Option<&'a Identity>,
    /// False where the body itself has a `ppid`: a key must not appear twice.
    with_ppid: bool,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`; `clock_offset_ns` is `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`.
    pub fn new(out: W, clock_offset_ns: i64) -> Self {
        Writer { out, clock_offset_ns, next_seq: 1, buffer: Vec::new() }
    }

    /// Writes one event. `identity` is that of the event's process, where it is known.
    pub fn event(&mut self, event: &Event, identity: Option<&Identity>) -> io::Result<()> {
        let head = |kind, with_ppid| Head {
            kind,
            boot_ns: event.boot_ns,
            task: event.task.as_ref(),
            identity,
            with_ppid,
        };
        match &event.body {
            Body::TraceStart(body) => self.line(&head("trace.start", true), body),
            Body::ProcessSnapshot(body) => self.line(&head("process.snapshot", false), body),
            Body::ProcessFork(body) => self.line(&head("process.fork", true), body),
            Body::ThreadStart(body) => self.line(&head("thread.start", true), body),
            Body::ProcessExec(body) => self.line(&head("process.exec", true), body),
            Body::ProcessExit(body) => self.line(&head("process.exit", true), body),
            Body::ThreadExit(body) => self.line(&head("thread.exit", true), body),
            Body::FutexWait(body) => self.line(&head("futex.wait", true), body),
            Body::FutexWake(body) => self.line(&head("futex.wake", true), body),
            Body::Evidence(body) => self.line(&head("evidence", true), body),
            Body::Stall(body) => self.line(&head("stall", true), body),
            Body::Generators(body) => self.line(&head("generators", true), body),
            Body::Buffers(body) => self.line(&head("buffers", true), body),
            Body::SocketUse(body) => self.line(&head("socket.use", true), body),
            Body::FileLock(body) => self.line(&head("file.lock", true), body),
            Body::BlockedSignals(body) => self.line(&head("signals.blocked", true), body),
            Body::FileUse(body) => self.line(&head("file.use", true), body),
            Body::WaitUnjudged(body) => self.line(&head("wait.unjudged", true), body),
            Body::LostThreads(body) => self.line(&head("threads.lost", true), body),
            Body::EventsLost(body) => self.line(&head("events.lost", true), body),
            Body::Resync(body) => self.line(&head("trace.resync", true), body),
            Body::ProcessOwner(body) => self.line(&head("process.owner", true), body),
            Body::Rotated(body) => self.line(&head("trace.rotated", true), body),
            Body::TraceEnd(body) => self.line(&head("trace.end", true), body),
        }
    }

    /// Writes one finding that was made at `boot_ns` (`CLOCK_BOOTTIME`, ns).
    pub fn finding(
        &mut self,
        finding: &FindingLine,
        boot_ns: u64,
        identity: Option<&Identity>,
    ) -> io::Result<()> {
        let head = Head { kind: FINDING, boot_ns, task: None, identity, with_ppid: false };
        self.line(&head, finding)
    }

    /// Hands everything written so far to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// Number of lines written.
    pub fn lines(&self) -> u64 {
        self.next_seq - 1
    }

    /// Numbers the next line as if only `lines` had been written: others did not reach the sink.
    pub fn rewind(&mut self, lines: u64) {
        self.next_seq = lines.saturating_add(1);
    }

    /// Sets `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`, ns, for the lines that follow.
    pub fn set_clock(&mut self, clock_offset_ns: i64) {
        self.clock_offset_ns = clock_offset_ns;
    }

    /// The sink.
    pub fn get_ref(&self) -> &W {
        &self.out
    }

    /// The sink.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// The sink, without flushing it.
    pub fn into_inner(self) -> W {
        self.out
    }

    fn line<T: Serialize>(&mut self, head: &Head<'_>, body: &T) -> io::Result<()> {
        let envelope = Envelope {
            schema: SCHEMA,
            kind: head.kind,
            seq: self.next_seq,
            ts: timestamp(head.boot_ns, self.clock_offset_ns),
            boot_ns: head.boot_ns,
            task: head.task,
            proc_uid: head.identity.map(|identity| identity.proc_uid.as_str()),
            ppid: head.identity.filter(|_| head.with_ppid).and_then(|identity| identity.ppid),
            parent_uid: head.identity.and_then(|identity| identity.parent_uid.as_deref()),
            body,
        };
        self.buffer.clear();
        envelope.serialize(&mut Serializer::with_formatter(&mut self.buffer, Visible))?;
        self.buffer.push(b'\n');
        // One write for the whole line: a reader that follows the file sees few halves of lines.
        self.out.write_all(&self.buffer)?;
        self.next_seq += 1;
        Ok(())
    }
}

/// JSON without spaces, in which what a terminal could obey or hide is escaped. JSON itself asks that
/// only of the first 32 characters; of the others too, C1 controls are codes for many terminals.
struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_hostile(*c)) {
            let (head, tail) = rest.split_at(at);
            writer.write_all(head.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = tail.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// RFC 3339 with nanoseconds, UTC. Times outside of the calendar become its first or last instant.
fn timestamp(boot_ns: u64, clock_offset_ns: i64) -> String {
    let ns = i128::from(boot_ns) + i128::from(clock_offset_ns);
    let fallback = if ns < 0 { Timestamp::MIN } else { Timestamp::MAX };
    format!("{:.9}", Timestamp::from_nanosecond(ns).unwrap_or(fallback))
}

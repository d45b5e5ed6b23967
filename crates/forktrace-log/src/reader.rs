//! Lines to events and findings.

pub(crate) mod quick;

use std::io::{self, BufRead, Read};

use serde::{Deserialize, de::DeserializeOwned};

use super::{FINDING, SCHEMA, finding_line::FindingLine};
use forktrace_model::{
    event::{Body, Event, Task},
    json_number,
};

/// The longest line that is read, bytes without its newline.
pub const MAX_LINE: usize = 16 << 20;

/// How far the end of a longer line is looked for, bytes. What goes on is no text, and may never end.
const MAX_SKIP: u64 = 64 << 20;

/// One line of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its number as written, from 1.
    pub seq: u64,
    /// `CLOCK_BOOTTIME`, ns.
    pub boot_ns: u64,
    /// What it tells.
    pub kind: LineKind,
}

/// What a line tells.
#[derive(Clone, Debug, PartialEq)]
pub enum LineKind {
    /// Something happened.
    Event(Event),
    /// Something was found.
    Finding(Box<FindingLine>),
    /// A type that this version does not know. Not an error: newer writers add types.
    Unknown {
        /// Value of `type`; hostile until sanitised.
        type_name: String,
    },
}

/// A line that could not be read, or a log that is incomplete.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct ReadError {
    /// The line's number in the file, from 1.
    pub line: u64,
    /// The error.
    pub cause: Cause,
}

/// Why a line could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The file could not be read. The reader stops here.
    #[error("the log could not be read: {0}")]
    Io(#[from] io::Error),
    /// The log has no line.
    #[error("the log is empty: it has no first line (trace.start)")]
    Empty,
    /// The first line is not a `trace.start`. The reader goes on.
    #[error(
        "the first line is not a trace.start line ({0}): this is not a forktrace log, or its beginning \
         is missing"
    )]
    NoStart(String),
    /// The format is newer than this reader. The reader stops here if this is the first line.
    #[error("this log was written by a newer forktrace (schema {0}); update forktrace")]
    NewerSchema(u64),
    /// The line is longer than [`MAX_LINE`], and was skipped.
    #[error("the line is longer than {} MiB", MAX_LINE >> 20)]
    TooLong,
    /// The line is so long that its end was not found. The reader stops here.
    #[error(
        "the line is longer than {} MiB: this is not a forktrace log",
        (MAX_LINE as u64 + MAX_SKIP) >> 20
    )]
    Endless,
    /// The line is not UTF-8.
    #[error("the line is not UTF-8 (byte {0})")]
    NotUtf8(usize),
    /// The line does not have this format. The text is safe to print on a terminal.
    #[error("{0}")]
    Malformed(String),
    /// The last line has no end: the log was cut off while it was written.
    #[error("the last line is cut off; everything before it was read")]
    Cut,
}

/// Totals of a reader, complete when the iteration has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Lines taken, those of unknown type included.
    pub lines: u64,
    /// Lines that were errors, a cut last one included.
    pub bad: u64,
    /// Lines of a type that this version does not know.
    pub unknown: u64,
    /// The first line was `trace.start`.
    pub started: bool,
    /// The last line taken was `trace.end`.
    pub ended: bool,
    /// The last line taken was `trace.rotated`: the trace goes on in another file. With neither the
    /// log was cut.
    pub rotated: bool,
    /// The first place where lines are missing or out of order.
    pub first_gap: Option<Gap>,
}

/// Lines that are missing or out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The line that shows it, in the file, from 1.
    pub line: u64,
    /// `seq` that was due.
    pub expected: u64,
    /// `seq` that it has.
    pub found: u64,
}

/// Reads a log line by line: an iterator of [`Line`]s. A bad line is an error, and reading goes on
/// with the next one.
#[derive(Debug)]
pub struct Reader<R: BufRead> {
    input: R,
    buffer: Vec<u8>,
    line: u64,
    next_seq: u64,
    summary: Summary,
    /// The first line, held back while its being no `trace.start` is reported.
    held: Option<Line>,
    finished: bool,
}

/// How the bytes of a line ended.
enum Ended {
    Newline,
    EndOfFile,
    TooLong,
    Never,
}

/// What every line has.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    seq: u64,
    #[serde(with = "json_number")]
    boot_ns: u64,
    #[serde(default)]
    pid: Option<u32>,
    #[serde(default)]
    tid: Option<u32>,
    #[serde(default)]
    comm: Option<String>,
}

/// Read before anything else: a newer format may have changed everything but this.
#[derive(Deserialize)]
struct Version {
    schema: u64,
}

impl<R: BufRead> Reader<R> {
    /// Reads from `input`.
    pub fn new(input: R) -> Self {
        Reader {
            input,
            buffer: Vec::new(),
            line: 0,
            next_seq: 1,
            summary: Summary::default(),
            held: None,
            finished: false,
        }
    }

    /// What was seen so far; of the whole log once the iteration has ended.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The number of the line that was read last, in the file, from 1; 0: none was.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Reads one line into the buffer, without its newline. `None`: the end.
    fn fill(&mut self) -> io::Result<Option<Ended>> {
        self.buffer.clear();
        let limit = MAX_LINE as u64 + 1;
        (&mut self.input).take(limit).read_until(b'\n', &mut self.buffer)?;
        if self.buffer.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
            return Ok(Some(Ended::Newline));
        }
        if self.buffer.len() > MAX_LINE {
            self.buffer = Vec::new();
            let ended = if self.skip_line()? { Ended::TooLong } else { Ended::Never };
            return Ok(Some(ended));
        }
        Ok(Some(Ended::EndOfFile))
    }

    /// Whether the line's end was found.
    fn skip_line(&mut self) -> io::Result<bool> {
        let mut skipped = 0;
        while skipped < MAX_SKIP {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let (used, done) = match bytes.iter().position(|byte| *byte == b'\n') {
                Some(at) => (at + 1, true),
                None => (bytes.len(), bytes.is_empty()),
            };
            self.input.consume(used);
            skipped += used as u64;
            if done {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn step(&mut self) -> Option<Result<Line, Cause>> {
        let ended = match self.fill() {
            Ok(Some(ended)) => ended,
            Ok(None) => {
                self.finished = true;
                return (self.line == 0).then_some(Err(Cause::Empty));
            }
            Err(error) => {
                self.finished = true;
                self.line += 1;
                return Some(Err(error.into()));
            }
        };
        let parsed = match ended {
            Ended::TooLong => Err(Cause::TooLong),
            Ended::Never => {
                self.finished = true;
                return Some(Err(Cause::Endless));
            }
            Ended::Newline => parse(&self.buffer),
            Ended::EndOfFile => parse(&self.buffer).map_err(|_| Cause::Cut),
        };
        Some(if self.line == 1 { self.first(parsed) } else { parsed })
    }

    /// Judges the first line, which must be `trace.start`.
    fn first(&mut self, parsed: Result<Line, Cause>) -> Result<Line, Cause> {
        match parsed {
            Ok(line) => match &line.kind {
                LineKind::Event(Event { body: Body::TraceStart(_), .. }) => {
                    self.summary.started = true;
                    Ok(line)
                }
                _ => {
                    self.held = Some(line);
                    Err(Cause::NoStart("the first line is of another type".into()))
                }
            },
            Err(newer @ Cause::NewerSchema(_)) => {
                // Every line that follows would say the same.
                self.finished = true;
                Err(newer)
            }
            Err(cause @ Cause::Io(_)) => Err(cause),
            Err(Cause::Cut) => Err(Cause::NoStart("the first line is cut off".into())),
            Err(cause) => Err(Cause::NoStart(cause.to_string())),
        }
    }

    fn accept(&mut self, line: &Line) {
        self.summary.lines += 1;
        self.summary.unknown += u64::from(matches!(line.kind, LineKind::Unknown { .. }));
        self.summary.ended =
            matches!(&line.kind, LineKind::Event(Event { body: Body::TraceEnd(_), .. }));
        self.summary.rotated =
            matches!(&line.kind, LineKind::Event(Event { body: Body::Rotated(_), .. }));
        if line.seq != self.next_seq && self.summary.first_gap.is_none() {
            let gap = Gap { line: self.line, expected: self.next_seq, found: line.seq };
            self.summary.first_gap = Some(gap);
        }
        self.next_seq = line.seq.saturating_add(1);
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Line, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(line) = self.held.take() {
            self.accept(&line);
            return Some(Ok(line));
        }
        if self.finished {
            return None;
        }
        match self.step()? {
            Ok(line) => {
                self.accept(&line);
                Some(Ok(line))
            }
            Err(cause) => {
                // The line had a number, and the next one is not missing because of it. A held
                // line is still to be counted.
                if self.held.is_none() && self.line > 0 {
                    self.summary.bad += 1;
                    self.next_seq = self.next_seq.saturating_add(1);
                }
                Some(Err(ReadError { line: self.line.max(1), cause }))
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Line, Cause> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| Cause::NotUtf8(error.valid_up_to() + 1))?;
    match quick::line(text) {
        Some(line) => Ok(line),
        None => parse_any(text),
    }
}

/// Reads any line, and says what is wrong with it.
pub(crate) fn parse_any(text: &str) -> Result<Line, Cause> {
    // serde would also take a JSON array as the fields of a struct in their order.
    if !text.trim_start().starts_with('{') {
        return Err(Cause::Malformed("not a JSON object".into()));
    }
    let Version { schema } = json(text)?;
    if schema > SCHEMA {
        return Err(Cause::NewerSchema(schema));
    }
    if schema < SCHEMA {
        return Err(Cause::Malformed(format!("unknown schema {schema}")));
    }
    let mut head: Head = json(text)?;
    let kind = match head.kind.as_str() {
        FINDING => LineKind::Finding(Box::new(json(text)?)),
        "trace.start" | "events.lost" | "trace.resync" | "trace.rotated" | "trace.end" => {
            LineKind::Event(Event {
                boot_ns: head.boot_ns,
                task: task(&mut head),
                body: json(text)?,
            })
        }
        "process.snapshot" | "process.fork" | "thread.start" | "process.exec" | "process.exit"
        | "process.owner" | "thread.exit" | "futex.wait" | "futex.wake" | "evidence" | "stall"
        | "socket.use" | "file.use" | "file.lock" | "signals.blocked" | "wait.unjudged"
        | "threads.lost" | "generators" | "buffers" => {
            let task = task(&mut head)
                .ok_or_else(|| Cause::Malformed("`pid`, `tid` or `comm` is missing".into()))?;
            LineKind::Event(Event { boot_ns: head.boot_ns, task: Some(task), body: json(text)? })
        }
        _ => LineKind::Unknown { type_name: std::mem::take(&mut head.kind) },
    };
    Ok(Line { seq: head.seq, boot_ns: head.boot_ns, kind })
}

fn task(head: &mut Head) -> Option<Task> {
    Some(Task { pid: head.pid?, tid: head.tid?, comm: head.comm.take()? })
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, Cause> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        // The parser counts lines inside of this one line; only its column means something here.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = message.strip_suffix(&place).unwrap_or(&message);
        let mut printable = String::with_capacity(message.len());
        for c in message.chars() {
            if c.is_ascii_graphic() || c == ' ' {
                printable.push(c);
            } else {
                printable.extend(c.escape_unicode());
            }
        }
        match error.column() {
            0 => Cause::Malformed(printable),
            column => Cause::Malformed(format!("{printable} (column {column})")),
        }
    })
}

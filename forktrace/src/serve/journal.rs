//! What the service itself writes: one line on stderr for each finding and each of its own troubles.

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use forktrace_model::finding::Confidence;
use serde::Serialize;

use super::{
    alert::Alert,
    queue::{Counts, Queue, Taker},
};
use crate::report::sanitize;

/// Lines that wait to be written, at most.
const BOUND: usize = 1_024;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `forktrace: …`
    Text,
    /// One JSON object.
    Json,
    /// The same as text, with the priority in front as journald reads it (`sd-daemon(3)`).
    Journald,
}

/// How grave a line is; as in syslog(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something hangs for certain, or the service does not do what it is for.
    Error,
    /// Something probably hangs, or is incomplete.
    Warning,
    /// All else.
    Info,
}

impl Level {
    fn priority(self) -> u8 {
        match self {
            Level::Error => 3,
            Level::Warning => 4,
            Level::Info => 6,
        }
    }

    /// Of a finding.
    pub fn of(confidence: Confidence) -> Self {
        match confidence {
            Confidence::Certain => Level::Error,
            Confidence::Likely => Level::Warning,
            Confidence::Suspect => Level::Info,
        }
    }
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A finding.
    Finding,
    /// A finding is over.
    FindingEnded,
    /// Findings of one fault that were not reported by themselves.
    HeldBack,
    /// The service itself.
    Service,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// When it was written, RFC 3339.
    pub time: String,
    /// How grave it is.
    pub level: Level,
    /// What it is about.
    pub event: Event,
    /// The text.
    pub message: String,
    /// The finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<Summary>,
}

/// What a line says of a finding beside its text.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    id: String,
    kind: String,
    confidence: String,
    pid: u32,
    tid: u32,
    comm: String,
    executable: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    container_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod_uid: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    held_back: u64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl Summary {
    /// Of a finding.
    pub fn of(alert: &Alert) -> Self {
        let finding = &alert.finding;
        Summary {
            id: alert.id.clone(),
            kind: finding.kind.clone(),
            confidence: finding.confidence.clone(),
            pid: finding.pid,
            tid: finding.tid,
            comm: finding.comm.clone(),
            executable: alert.workload.executable.clone(),
            container_id: alert.workload.container_id.clone(),
            pod_uid: alert.workload.pod_uid.clone(),
            held_back: alert.held_back,
        }
    }
}

impl Line {
    /// About the service itself.
    pub fn new(level: Level, message: impl Into<String>) -> Self {
        Line {
            time: format!("{:.3}", jiff::Timestamp::now()),
            level,
            event: Event::Service,
            message: message.into(),
            finding: None,
        }
    }

    /// The line as it is written, with its end.
    pub fn text(&self, format: Format) -> String {
        let message = || sanitize(&self.message);
        match format {
            Format::Text => format!("forktrace: {}\n", message()),
            Format::Journald => format!("<{}>{}\n", self.level.priority(), message()),
            Format::Json => {
                // Such a line has nothing that is no JSON.
                let mut text = serde_json::to_string(self).unwrap_or_default();
                text.push('\n');
                text
            }
        }
    }
}

/// Writes lines, on a thread of its own: a pipe that nobody reads must not hold up judging.
#[derive(Clone, Debug)]
pub struct Journal {
    queue: Queue<Line>,
}

impl Journal {
    /// Writes to stderr.
    ///
    /// # Errors
    /// When there can be no further thread.
    pub fn start(format: Format) -> io::Result<Self> {
        let queue = Queue::start("journal", BOUND, Arc::default(), move |lines: Taker<Line>| {
            while let Some(line) = lines.take() {
                let text = line.text(format);
                let written = io::stderr().lock().write_all(text.as_bytes());
                lines.done(1, written.is_ok());
            }
        })?;
        Ok(Journal { queue })
    }

    /// Writes a line.
    pub fn write(&self, line: Line) {
        self.queue.put(line);
    }

    /// Writes a line about the service itself.
    pub fn say(&self, level: Level, message: impl Into<String>) {
        self.write(Line::new(level, message));
    }

    /// What became of the lines.
    pub fn counts(&self) -> &Arc<Counts> {
        self.queue.counts()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_whatever_it_says() {
        let line = Line::new(Level::Error, "evil\nname \u{1b}[31m \"x\"");
        assert_eq!(line.text(Format::Text), "forktrace: evil\\nname \\x1b[31m \"x\"\n");
        assert!(line.text(Format::Journald).starts_with("<3>evil\\nname"));
        let json = line.text(Format::Json);
        assert!(json.ends_with("}\n") && json.lines().count() == 1, "{json}");
        assert!(json.contains("\"level\":\"error\",\"event\":\"service\""), "{json}");
    }
}

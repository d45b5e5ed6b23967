//! What happens to every event, live or replayed: model, log, text, judge, in this order.

use std::io::{self, Write};

use super::{
    failure::{cause, say},
    shortfalls,
};
use crate::{
    event::{Body, Event},
    finding::{Confidence, Finding},
    log::{self, Identity, proc_uid},
    model::{Change, Model, Process},
    report::text::Text,
    verdict::{Judge, Judged, Outcome},
};

/// Where text goes.
pub(super) type Out = Box<dyn Write>;

/// Everything right of the event source.
pub(super) struct Pipeline {
    pub(super) model: Model,
    pub(super) judge: Judge,
    pub(super) text: Option<Text<Out>>,
    /// Event logs being written: a file, stdout.
    pub(super) logs: Vec<Log>,
    pub(super) boot_id: String,
    /// What makes the result incomplete, a sentence each.
    pub(super) shortfalls: Vec<String>,
    /// Whoever read stdout has gone away.
    pub(super) reader_gone: bool,
    pub(super) suspects: bool,
    /// Processes that were asked for by their pid.
    pub(super) asked: Vec<u32>,
    /// Say why a wait led to no finding.
    pub(super) reasons: bool,
}

/// A log being written.
pub(super) struct Log {
    /// What it is called in messages.
    pub(super) name: String,
    pub(super) writer: log::Writer<Out>,
    pub(super) failed: bool,
    pub(super) is_stdout: bool,
}

impl Log {
    /// Writes, and says it once if that fails; tracing goes on.
    fn write(&mut self, write: impl FnOnce(&mut log::Writer<Out>) -> io::Result<()>) {
        if self.failed {
            return;
        }
        if let Err(error) = write(&mut self.writer) {
            self.failed = true;
            // A reader that went away, as `head` does, is no fault.
            if error.kind() != io::ErrorKind::BrokenPipe {
                let cause = cause(&error);
                say(&format!("cannot write {}: {cause}; recording stops here", self.name));
            }
        }
    }
}

impl Pipeline {
    /// Takes one event. Returns what it changed in the model.
    pub(super) fn event(&mut self, event: &Event) -> io::Result<Vec<Change>> {
        let before = match event.body {
            Body::ProcessSnapshot(_) => None,
            _ => self.identity(event),
        };
        let changes = self.model.apply(event);
        if !self.logs.is_empty() {
            let identity = before.or_else(|| self.identity(event));
            for log in &mut self.logs {
                log.write(|writer| writer.event(event, identity.as_ref()));
            }
        }
        self.write_text(|text, pipeline| text.event(event, &pipeline.model))?;
        if let Body::TraceEnd(end) = &event.body {
            self.shortfalls = shortfalls::of(end, &self.judge);
        }
        match self.judge.apply(event, &self.model) {
            Some(Outcome::Found(finding)) => self.found(event.boot_ns, &finding)?,
            Some(Outcome::Ended { finding, waited_ns }) => {
                if self.shows(&finding) {
                    self.write_text(|text, _| text.ended(&finding, waited_ns))?;
                }
            }
            Some(Outcome::Silent(reason)) if self.reasons => {
                if let Some(task) = &event.task {
                    say(&format!("{}[{}] waits: {}", task.comm, task.tid, reason.text()));
                }
            }
            Some(Outcome::Silent(_)) | None => {}
        }
        Ok(changes)
    }

    fn found(&mut self, boot_ns: u64, finding: &Finding) -> io::Result<()> {
        let identity = self.model.live(finding.pid).map(|process| self.identify(process));
        for log in &mut self.logs {
            log.write(|writer| writer.finding(finding, boot_ns, identity.as_ref()));
            log.write(|writer| writer.flush());
        }
        if self.shows(finding) {
            self.write_text(|text, _| text.finding(finding))?;
        }
        Ok(())
    }

    /// Writes text, if any is wanted. A reader of it that has gone away is no error, but noted.
    ///
    /// # Errors
    /// Any other failure.
    pub(super) fn write_text(
        &mut self,
        write: impl FnOnce(&mut Text<Out>, &Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(mut text) = self.text.take() else { return Ok(()) };
        match write(&mut text, self) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_gone = true;
                Ok(())
            }
            result => {
                self.text = Some(text);
                result
            }
        }
    }

    /// Writes the titles of the text's columns now rather than with its first line.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.write_text(|text, _| {
            text.begin()?;
            text.out().flush()
        })
    }

    fn identity(&self, event: &Event) -> Option<Identity> {
        let process = self.model.live(event.task.as_ref()?.pid)?;
        Some(self.identify(process))
    }

    fn identify(&self, process: &Process) -> Identity {
        let uid = |process: &Process| proc_uid(&self.boot_id, process.pid, process.start_ns);
        Identity {
            proc_uid: uid(process),
            ppid: Some(process.ppid),
            parent_uid: process.parent.map(|parent| uid(self.model.get(parent))),
        }
    }

    /// Writes out everything that is buffered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        for log in &mut self.logs {
            log.write(|writer| writer.flush());
            self.reader_gone |= log.failed && log.is_stdout;
        }
        self.write_text(|text, _| text.out().flush())
    }

    /// Whether a finding is shown in text.
    pub(super) fn shows(&self, finding: &Finding) -> bool {
        finding.is_shown(self.suspects, &self.asked)
    }

    /// The findings that count: suspects do only where they were asked for.
    pub(super) fn shown(&self) -> impl Iterator<Item = &Judged> {
        let suspects = self.suspects;
        self.judge
            .findings()
            .iter()
            .filter(move |judged| suspects || judged.finding.confidence > Confidence::Suspect)
    }
}

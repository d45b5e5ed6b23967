//! What happens to every event, live or replayed: model, log, text, judge, in this order.

use std::io::{self, Write};

use rustc_hash::FxHashSet;

use super::{
    caveats::{self, TraceLimits},
    failure::{cause, say},
};
use crate::report::{logged, reasons, text::Text};
use forktrace_log::{Identity, Recorder, proc_uid};
use forktrace_model::{
    event::{Body, Event},
    finding::{Confidence, Finding},
    judge::{Forgotten, Judge, Judged, Outcome},
    model::{Change, Model, Process},
};

/// Where text goes.
pub(super) type Out = Box<dyn Write>;

/// Everything right of the event source.
pub(super) struct Pipeline {
    pub(super) model: Model,
    pub(super) judge: Judge,
    pub(super) text: Option<Text<Out>>,
    /// The event log on stdout.
    pub(super) json: Option<Log>,
    /// The event log in files.
    pub(super) recorder: Option<Recorder>,
    pub(super) boot_id: String,
    /// What the trace could find.
    pub(super) terms: TraceLimits,
    /// What makes the result incomplete, a sentence each.
    pub(super) shortfalls: Vec<String>,
    /// Whoever read stdout has gone away.
    pub(super) reader_gone: bool,
    pub(super) suspects: bool,
    /// Processes that were asked for by their pid.
    pub(super) asked: FxHashSet<u32>,
    /// Say why a wait led to no finding.
    pub(super) reasons: bool,
}

/// A log on stdout.
pub(super) struct Log {
    writer: forktrace_log::Writer<Out>,
    failed: bool,
}

impl Log {
    pub(super) fn new(writer: forktrace_log::Writer<Out>) -> Self {
        Log { writer, failed: false }
    }

    /// Writes, and says it once if that fails; tracing goes on.
    fn write(&mut self, write: impl FnOnce(&mut forktrace_log::Writer<Out>) -> io::Result<()>) {
        if self.failed {
            return;
        }
        if let Err(error) = write(&mut self.writer) {
            self.failed = true;
            // A reader that went away, as `head` does, is no fault.
            if error.kind() != io::ErrorKind::BrokenPipe {
                let cause = cause(&error);
                say(&format!("cannot write the JSON output: {cause}; it stops here"));
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
        if self.json.is_some() || self.recorder.is_some() {
            let identity = before.or_else(|| self.identity(event));
            if let Some(json) = &mut self.json {
                json.write(|writer| writer.event(event, identity.as_ref()));
            }
            self.record(event, identity.as_ref());
        }
        self.write_text(|text, pipeline| text.event(event, &pipeline.model))?;
        match &event.body {
            Body::TraceStart(start) => self.terms = TraceLimits::of(start),
            Body::TraceEnd(end) => {
                self.shortfalls = caveats::of(end, self.terms, &self.judge);
            }
            _ => {}
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
                    say(&format!("{}[{}] waits: {}", task.comm, task.tid, reasons::text(reason)));
                }
            }
            Some(Outcome::Silent(_)) | None => {}
        }
        for change in &changes {
            if let Change::Ended(id) = change {
                self.judge.ended(*id);
            }
        }
        for process in self.judge.forget() {
            self.model.unpin(process);
        }
        self.rotate_if_due();
        Ok(changes)
    }

    fn found(&mut self, boot_ns: u64, finding: &Finding) -> io::Result<()> {
        self.model.pin(finding.subject.pid);
        let identity = self.model.live(finding.subject.pid).map(|process| self.identify(process));
        let line = (self.json.is_some() || self.recorder.is_some()).then(|| logged::line(finding));
        if let (Some(json), Some(line)) = (&mut self.json, &line) {
            json.write(|writer| writer.finding(line, boot_ns, identity.as_ref()));
            json.write(|writer| writer.flush());
        }
        if let (Some(recorder), Some(line)) = (&mut self.recorder, &line) {
            recorder.finding(line, boot_ns, identity.as_ref());
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

    pub(super) fn identity(&self, event: &Event) -> Option<Identity> {
        let process = self.model.live(event.task.as_ref()?.pid)?;
        Some(self.identify(process))
    }

    fn identify(&self, process: &Process) -> Identity {
        let uid = |process: &Process| proc_uid(&self.boot_id, process.pid, process.start_ns);
        Identity {
            proc_uid: uid(process),
            ppid: Some(process.ppid),
            parent_uid: process.parent.and_then(|parent| self.model.get(parent)).map(uid),
        }
    }

    /// Writes out everything that is buffered.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.flush_shown()?;
        if let Some(recorder) = &mut self.recorder {
            recorder.flush();
        }
        self.say_write_error();
        Ok(())
    }

    /// Does what is due: shows everything, and once a second hands the recording to the operating
    /// system.
    pub(super) fn tick(&mut self) -> io::Result<()> {
        let flushed = self.recorder.as_mut().is_some_and(Recorder::flush_if_due);
        self.say_write_error();
        if flushed {
            self.mend();
        }
        self.rotate_if_due();
        self.flush_shown()
    }

    fn flush_shown(&mut self) -> io::Result<()> {
        if let Some(json) = &mut self.json {
            json.write(|writer| writer.flush());
            self.reader_gone |= json.failed;
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

    /// The findings that are no longer kept: those that would be shown, and how many would not.
    pub(super) fn forgotten(&self) -> (Forgotten, u64) {
        let mut shown = self.judge.forgotten();
        let hidden = if self.suspects { 0 } else { std::mem::take(&mut shown.suspect) };
        (shown, hidden)
    }

    /// The status to exit with where a finding was made and one of its own is `wanted`.
    pub(super) fn status(&self, wanted: Option<u8>) -> Option<u8> {
        let was_shown = self.forgotten().0 != Forgotten::default();
        wanted.filter(|_| was_shown || self.shown().next().is_some())
    }
}

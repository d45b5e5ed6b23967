//! The event log on stdout.

use crate::report::logged;
use std::io;

use super::Out;
use crate::{
    cli::failure::{cause, say},
    pipeline::{At, Follow, Sink},
};
use forktrace_log::Writer;
use forktrace_model::finding::Finding;

/// Writes lines of JSON. If that fails it is said once, and tracing goes on.
pub(in crate::cli) struct Json {
    writer: Writer<Out>,
    failed: bool,
}

impl Json {
    pub(in crate::cli) fn new(writer: Writer<Out>) -> Self {
        Json { writer, failed: false }
    }

    fn write(&mut self, write: impl FnOnce(&mut Writer<Out>) -> io::Result<()>) {
        if self.failed {
            return;
        }
        if let Err(error) = write(&mut self.writer) {
            self.failed = true;
            // A reader that went away, as `head` does, is no fault.
            if error.kind() != io::ErrorKind::BrokenPipe {
                let cause = cause(&error);
                say(&format!("cannot write the JSON output: {cause}; the output stops here"));
            }
        }
    }
}

impl Sink for Json {
    fn needs_identity(&self) -> bool {
        true
    }

    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        self.write(|writer| writer.event(at.event, at.step.identity.as_ref()));
        Ok(())
    }

    fn finding(&mut self, finding: &Finding, at: &At<'_>) -> io::Result<()> {
        let identity = at.follow.live_identity(finding.subject.pid);
        self.write(|writer| {
            writer.finding(&logged::line(finding), at.event.boot_ns, identity.as_ref())
        });
        self.write(Writer::flush);
        Ok(())
    }

    fn tick(&mut self, _: &Follow) -> io::Result<()> {
        self.write(Writer::flush);
        Ok(())
    }

    fn end(&mut self, _: &Follow) -> io::Result<()> {
        self.write(Writer::flush);
        Ok(())
    }

    fn is_gone(&self) -> bool {
        self.failed
    }
}

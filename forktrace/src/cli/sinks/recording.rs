//! The log in files: what it carries over, and what is said of it.

use crate::report::logged;
use std::io;

use crate::{
    cli::failure::{cause, say},
    pipeline::{At, Follow, Sink},
    report::{bytes, count, plural},
};
use forktrace_log::{Carried, Recorder, Totals};
use forktrace_model::{
    event::{Body, Event},
    finding::Finding,
};

/// Records to files. What cannot be written is counted, and tracing goes on.
pub(in crate::cli) struct Recording {
    recorder: Recorder,
}

impl Sink for Recording {
    fn needs_identity(&self) -> bool {
        true
    }

    /// Before the last event, what is missing is made up for where that is possible.
    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        if matches!(at.event.body, Body::TraceEnd(_)) {
            self.recorder.flush();
            self.mend(at.follow);
        }
        self.recorder.event(at.event, at.step.identity.as_ref());
        Ok(())
    }

    fn finding(&mut self, finding: &Finding, at: &At<'_>) -> io::Result<()> {
        let identity = at.follow.live_identity(finding.subject.pid);
        self.recorder.finding(&logged::line(finding), at.event.boot_ns, identity.as_ref());
        Ok(())
    }

    fn settled(&mut self, follow: &Follow) -> io::Result<()> {
        self.rotate_if_due(follow);
        Ok(())
    }

    /// Once a second what was written is handed to the operating system.
    fn tick(&mut self, follow: &Follow) -> io::Result<()> {
        let flushed = self.recorder.flush_if_due();
        self.say_error();
        if flushed {
            self.mend(follow);
        }
        self.rotate_if_due(follow);
        Ok(())
    }

    fn end(&mut self, _: &Follow) -> io::Result<()> {
        self.recorder.flush();
        self.say_error();
        Ok(())
    }
}

impl Recording {
    pub(in crate::cli) fn new(recorder: Recorder) -> Self {
        Recording { recorder }
    }

    /// After a failure: tries to go on, from all that is alive.
    fn mend(&mut self, follow: &Follow) {
        if self.recorder.is_broken() {
            self.recorder.mend(&carried(follow, self.recorder.last_ns(), true));
        }
    }

    /// Goes on in a new file, if one is due.
    fn rotate_if_due(&mut self, follow: &Follow) {
        if !self.recorder.is_due() {
            return;
        }
        let carried = carried(follow, self.recorder.last_ns(), false);
        if let Err(error) = self.recorder.rotate(&carried) {
            let (path, cause) = (self.recorder.path().display(), cause(&error));
            say(&format!(
                "cannot start a new file after {path}: {cause}; recording continues in this file"
            ));
        }
        self.say_error();
    }

    /// Says it when a write fails for the first time.
    fn say_error(&mut self) {
        if let Some(error) = self.recorder.take_error() {
            say(&format!(
                "cannot write {}: {}; tracing continues, and unwritten lines are counted",
                self.recorder.path().display(),
                cause(&error)
            ));
        }
    }

    /// What was recorded, in words, and whether lines are missing in it.
    pub(in crate::cli) fn recorded(&self) -> (String, bool) {
        let totals = self.recorder.totals();
        let (first, last) = self.recorder.names();
        (recorded(&totals, &first, &last), totals.unwritten > 0)
    }
}

/// What a service keeps of it.
#[cfg(feature = "serve")]
impl Recording {
    /// The files that are there, the oldest first.
    pub(in crate::cli) fn files(&self) -> impl Iterator<Item = &std::path::Path> {
        self.recorder.files()
    }

    /// Lines that could not be written.
    pub(in crate::cli) fn unwritten(&self) -> u64 {
        self.recorder.totals().unwritten
    }
}

/// All that a reader must know who has not read what came before: what is alive, what waits, and
/// what the open findings were concluded from.
fn carried(follow: &Follow, boot_ns: u64, resync: bool) -> Vec<Carried> {
    let with_identity = |event: Event| {
        let identity = event.task.as_ref().and_then(|task| follow.live_identity(task.pid));
        (event, identity)
    };
    known(follow, boot_ns, resync).into_iter().map(with_identity).collect()
}

/// The same, of whom it is left out.
pub(in crate::cli) fn known(follow: &Follow, boot_ns: u64, resync: bool) -> Vec<Event> {
    let alive = follow.model().carried(boot_ns, resync);
    let evidence = follow.judge().open_evidence();
    let evidence = evidence.into_iter().map(|event| Event { boot_ns, ..event.clone() });
    alive.into_iter().chain(evidence).collect()
}

fn recorded(totals: &Totals, first: &str, last: &str) -> String {
    let Totals { lines, raw, stored, unwritten, files, deleted } = *totals;
    let each = raw.checked_div(lines).unwrap_or(0);
    let packed = match stored == raw {
        true => String::new(),
        false => format!(", {} compressed", bytes(stored)),
    };
    let mut text = format!(
        "{}, {}{packed}, {} a line, in {first}",
        plural(lines, "line", "lines"),
        bytes(raw),
        plural(each, "byte", "bytes"),
    );
    if files > 1 && first != last {
        text.push_str(&format!(" to {last}"));
    }
    if deleted > 0 {
        text.push_str(&format!(
            " ({} {} deleted)",
            plural(u64::from(deleted), "older file", "older files"),
            if deleted == 1 { "was" } else { "were" }
        ));
    }
    if unwritten > 0 {
        let one = if unwritten == 1 { "line" } else { "lines" };
        text.push_str(&format!(
            "; {} {one} could not be written, so a report of this log is incomplete",
            count(unwritten)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_recorded_in_words() {
        let totals = Totals { lines: 3, raw: 1234, stored: 1234, files: 1, ..Totals::default() };
        assert_eq!(
            recorded(&totals, "a.jsonl", "a.jsonl"),
            "3 lines, 1.2 kB, 411 bytes a line, in a.jsonl"
        );
        let totals = Totals {
            lines: 2_000_000,
            raw: 812_000_000,
            stored: 41_000_000,
            unwritten: 1,
            files: 5,
            deleted: 2,
        };
        assert_eq!(
            recorded(&totals, "a.3.jsonl.zst", "a.5.jsonl.zst"),
            "2,000,000 lines, 812.0 MB, 41.0 MB compressed, 406 bytes a line, in a.3.jsonl.zst to \
             a.5.jsonl.zst (2 older files were deleted); 1 line could not be written, so a \
             report of this log is incomplete"
        );
    }
}

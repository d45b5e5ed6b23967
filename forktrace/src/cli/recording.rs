//! The log in files: what it carries over, and what is said of it.

use super::{
    failure::{cause, say},
    pipeline::Pipeline,
};
use crate::report::{count, plural};
use forktrace_log::{Carried, Identity, Totals};
use forktrace_model::event::{Body, Event};

impl Pipeline {
    /// Records one event. Before the last one, what is missing is made up for where that is possible.
    pub(super) fn record(&mut self, event: &Event, identity: Option<&Identity>) {
        if matches!(event.body, Body::TraceEnd(_)) {
            if let Some(recorder) = &mut self.recorder {
                recorder.flush();
            }
            self.mend();
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.event(event, identity);
        }
    }

    /// After a failure: tries to go on, from all that is alive.
    pub(super) fn mend(&mut self) {
        let Some(recorder) = self.recorder.as_ref().filter(|recorder| recorder.is_broken()) else {
            return;
        };
        let carried = self.carried(recorder.last_ns(), true);
        if let Some(recorder) = &mut self.recorder {
            recorder.mend(&carried);
        }
    }

    /// Goes on in a new file, if one is due.
    pub(super) fn rotate_if_due(&mut self) {
        let Some(recorder) = self.recorder.as_ref().filter(|recorder| recorder.is_due()) else {
            return;
        };
        let carried = self.carried(recorder.last_ns(), false);
        let Some(recorder) = &mut self.recorder else { return };
        if let Err(error) = recorder.rotate(&carried) {
            let (path, cause) = (recorder.path().display(), cause(&error));
            say(&format!("cannot begin a new file after {path}: {cause}; it goes on in this one"));
        }
        self.say_write_error();
    }

    /// All that a reader must know who has not read what came before: what is alive, what waits, and
    /// what the open findings were concluded from.
    fn carried(&self, boot_ns: u64, resync: bool) -> Vec<Carried> {
        let alive = self.model.carried(boot_ns, resync);
        let evidence = self.judge.open_evidence();
        let evidence = evidence.into_iter().map(|event| Event { boot_ns, ..event.clone() });
        let with_identity = |event: Event| {
            let identity = self.identity(&event);
            (event, identity)
        };
        alive.into_iter().chain(evidence).map(with_identity).collect()
    }

    /// Says it when a write fails for the first time.
    pub(super) fn say_write_error(&mut self) {
        let Some(recorder) = &mut self.recorder else { return };
        if let Some(error) = recorder.take_error() {
            say(&format!(
                "cannot write {}: {}; tracing goes on, and what cannot be written is counted",
                recorder.path().display(),
                cause(&error)
            ));
        }
    }

    /// What was recorded, in words, and whether lines are missing in it.
    pub(super) fn recorded(&self) -> Option<(String, bool)> {
        let recorder = self.recorder.as_ref()?;
        let totals = recorder.totals();
        let (first, last) = recorder.names();
        Some((recorded(&totals, &first, &last), totals.unwritten > 0))
    }
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
            "; {} {one} could not be written, and a report will miss what {} told",
            count(unwritten),
            if unwritten == 1 { "it" } else { "they" }
        ));
    }
    text
}

/// A size as people read it: `812 bytes`, `4.1 MB`.
pub(super) fn bytes(n: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match units.into_iter().find(|(_, size)| n >= *size) {
        Some((unit, size)) => format!("{}.{} {unit}", n / size, n % size * 10 / size),
        None => plural(n, "byte", "bytes"),
    }
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
             a.5.jsonl.zst (2 older files were deleted); 1 line could not be written, and a \
             report will miss what it told"
        );
    }
}

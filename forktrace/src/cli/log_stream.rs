//! All files of one log as one stream of events.

use std::{
    cell::RefCell,
    io::Read,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    budget::Budget,
    failure::{Failure, cause, say},
    log_files::{self, Files},
    progress::Progress,
};
use crate::report::plural;
use forktrace_log::{Cause, Input, LineKind, Reader, Summary};
use forktrace_model::event::{Body, Event, Resync, TraceStart};

/// How many bad lines are told one by one.
const TOLD: u64 = 10;

/// Who takes the events.
pub(super) trait Sink {
    /// Takes the first event, `trace.start`, which says how to set up everything.
    fn begin(&mut self, start: &TraceStart, event: &Event) -> Result<(), Failure>;
    /// Takes any other.
    fn event(&mut self, event: &Event) -> Result<(), Failure>;
    /// Whether the first event has come.
    fn has_begun(&self) -> bool;
    /// Whether any process is known.
    fn knows_any(&self) -> bool;
    /// Whether nobody wants any more.
    fn is_gone(&self) -> bool {
        false
    }
}

/// The reading of all files of one log.
pub(super) struct Walk<'a, S> {
    pub(super) sink: S,
    files: &'a Files,
    progress: Rc<RefCell<Progress>>,
    budget: Budget,
    /// The budget was spent.
    stopped: bool,
    carried: Carried,
    /// The part that was read last, and whether it was whole.
    part: Option<(u32, bool)>,
    /// What is missing, a sentence each.
    missing: Vec<String>,
    ended: bool,
}

/// The lines at the beginning of a part that repeat what was known before it.
#[derive(Default)]
struct Carried {
    /// How many are still to come.
    left: u32,
    /// They are known here, from the part before.
    known: bool,
    /// Those that have come.
    events: Vec<Event>,
}

impl<'a, S: Sink> Walk<'a, S> {
    /// Of these files, in this order, with so many bytes of memory. `quiet`: nothing is printed
    /// meanwhile.
    pub(super) fn new(files: &'a Files, sink: S, memory: u64, quiet: bool) -> Self {
        Walk {
            sink,
            files,
            progress: log_files::progress(&files.readable, quiet),
            budget: Budget::new(memory),
            stopped: false,
            carried: Carried::default(),
            part: None,
            missing: files.bad.iter().map(left_out).collect(),
            ended: false,
        }
    }

    /// Reads them all, and says what is wrong with them. Returns what took the events, what is
    /// missing, a sentence each, and whether the end of the trace was among them.
    ///
    /// # Errors
    /// When a file cannot be read, or holds no log.
    pub(super) fn run(mut self) -> Result<(S, Vec<String>, bool), Failure> {
        for path in &self.files.readable {
            self.file(path, log_files::open(path, &self.progress)?)?;
            if self.sink.is_gone() {
                return Ok((self.sink, self.missing, self.ended));
            }
            if self.stopped {
                break;
            }
        }
        self.finish()
    }

    /// After the last file.
    pub(super) fn finish(mut self) -> Result<(S, Vec<String>, bool), Failure> {
        self.progress.borrow_mut().clear();
        if !self.sink.has_begun() {
            let path = self.files.readable.first().cloned().unwrap_or_default();
            return Err(Failure::CannotRead { path, cause: "it holds no event".into() });
        }
        if let Some((part, true)) = self.part {
            self.missing.push(format!(
                "the trace goes on in part {}, which was not given",
                part.saturating_add(1)
            ));
        }
        let name = match self.files.readable.as_slice() {
            [one] if self.files.bad.is_empty() => format!("{}: ", one.display()),
            _ => String::new(),
        };
        for sentence in &self.missing {
            say(&format!("{name}{sentence}"));
        }
        Ok((self.sink, self.missing, self.ended))
    }

    /// Reads one file, already opened.
    pub(super) fn file<R: Read>(&mut self, path: &Path, input: Input<R>) -> Result<(), Failure> {
        let damage = input.damage();
        let mut reader = Reader::new(input);
        let mut bad = 0;
        for line in reader.by_ref() {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    let cannot =
                        |cause: String| Failure::CannotRead { path: path.to_owned(), cause };
                    match error.cause {
                        Cause::Io(error) => return Err(cannot(cause(&error))),
                        // Said once at the end.
                        Cause::Cut => continue,
                        Cause::Empty | Cause::NoStart(_) if damage.borrow().is_some() => {
                            let why = damage.borrow().clone().unwrap_or_default();
                            return Err(cannot(why));
                        }
                        Cause::Empty
                        | Cause::NoStart(_)
                        | Cause::NewerSchema(_)
                        | Cause::Endless => return Err(cannot(error.cause.to_string())),
                        _ => {
                            bad += 1;
                            if bad <= TOLD {
                                self.progress.borrow_mut().clear();
                                say(&format!("{}: {error}; it is passed over", path.display()));
                            }
                            continue;
                        }
                    }
                }
            };
            // A finding is judged again from its evidence; an unknown type is for newer readers.
            if let LineKind::Event(event) = line.kind {
                self.event(event)?;
            }
            if self.sink.is_gone() {
                return Ok(());
            }
            if self.budget.is_spent() {
                self.stopped = true;
                break;
            }
        }
        if bad > TOLD {
            let more = plural(bad - TOLD, "more line", "more lines");
            say(&format!("{}: {more} passed over", path.display()));
        }
        if self.stopped {
            self.carried = Carried::default();
            self.missing.push(self.budget.sentence(reader.line()));
            self.ended = false;
            return Ok(());
        }
        self.carried.left = 0;
        self.take_carried()?;
        self.end_of_file(path, reader.summary());
        self.missing.extend(damage.borrow_mut().take());
        Ok(())
    }

    fn end_of_file(&mut self, path: &Path, summary: &Summary) {
        self.ended = summary.ended;
        if let Some((_, whole)) = &mut self.part {
            *whole = summary.rotated;
        }
        let one = self.files.readable.len() + self.files.bad.len() == 1;
        let name = if one { String::new() } else { format!("{}: ", path.display()) };
        self.missing.extend(missing(summary).into_iter().map(|text| format!("{name}{text}")));
    }

    fn event(&mut self, event: Event) -> Result<(), Failure> {
        match &event.body {
            Body::TraceStart(start) => {
                let start = start.clone();
                return self.start(&start, event);
            }
            // It is about the file.
            Body::Rotated(_) => return Ok(()),
            _ => {}
        }
        if self.carried.left > 0 {
            self.carried.left -= 1;
            if !self.carried.known {
                self.carried.events.push(event);
            }
            return match self.carried.left {
                0 => self.take_carried(),
                _ => Ok(()),
            };
        }
        self.sink.event(&event)
    }

    fn start(&mut self, start: &TraceStart, mut event: Event) -> Result<(), Failure> {
        let before = self.part.replace((start.part, false));
        let follows =
            before.is_some_and(|(part, whole)| whole && part.checked_add(1) == Some(start.part));
        self.carried = Carried { left: start.carried, known: follows, events: Vec::new() };
        if self.sink.has_begun() {
            let part = before.map_or(0, |(part, _)| part);
            self.missing.extend(gap(part.saturating_add(1), start.part));
            return Ok(());
        }
        if start.part > 1 {
            self.missing.extend(gap(1, start.part));
        }
        if let Body::TraceStart(start) = &mut event.body {
            // They are handed on as any others, and a filter may leave some out.
            start.carried = 0;
        }
        self.sink.begin(start, &event)
    }

    /// What was known before a part whose predecessor was not read: all that is alive.
    fn take_carried(&mut self) -> Result<(), Failure> {
        let events = std::mem::take(&mut self.carried.events);
        let Some(boot_ns) = events.first().map(|event| event.boot_ns) else { return Ok(()) };
        let later = self.sink.knows_any();
        let (mut alive, others): (Vec<Event>, Vec<Event>) =
            events.into_iter().partition(|event| matches!(event.body, Body::ProcessSnapshot(_)));
        if later {
            for event in &mut alive {
                if let Body::ProcessSnapshot(snapshot) = &mut event.body {
                    snapshot.resync = true;
                }
            }
            let processes = u32::try_from(alive.len()).unwrap_or(u32::MAX);
            let looked = Resync { processes, ..Resync::default() };
            alive.push(Event { boot_ns, task: None, body: Body::Resync(looked) });
        }
        for event in alive.into_iter().chain(others) {
            self.sink.event(&event)?;
        }
        Ok(())
    }
}

/// That a part was left out.
fn left_out((path, why): &(PathBuf, String)) -> String {
    format!("{}: {why}; it is left out, as if it were not given", path.display())
}

/// That the parts from `due` to the one before `found` were not given, if so.
fn gap(due: u32, found: u32) -> Option<String> {
    let last = found.checked_sub(1).filter(|last| *last >= due)?;
    let parts = if due == last {
        format!("part {due} of this trace was")
    } else {
        format!("parts {due} to {last} of this trace were")
    };
    Some(format!("{parts} not given: what happened in that time is not shown"))
}

/// What is missing in one file, a sentence each.
fn missing(summary: &Summary) -> Vec<String> {
    let mut sentences = Vec::new();
    let whole = summary.ended || summary.rotated;
    if !whole {
        let cut = "the log was cut off: it has no last line (trace.end), all before it is shown";
        sentences.push(cut.to_owned());
    }
    if summary.bad > 0 && whole {
        let lines = plural(summary.bad, "line", "lines");
        sentences.push(format!("{lines} of the log could not be read, so this is incomplete"));
    }
    if let Some(gap) = &summary.first_gap {
        sentences.push(format!(
            "lines of the log are missing before line {} (number {} follows {})",
            gap.line,
            gap.found,
            gap.expected.saturating_sub(1)
        ));
    }
    sentences
}

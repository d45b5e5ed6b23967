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
use crate::{
    pipeline::{
        Pipeline, Sink,
        caveats::{Caveat, LogCaveat},
    },
    report::{caveats, plural},
};
use forktrace_log::{Cause, Input, LineKind, ReadError, Reader, Summary};
use forktrace_model::event::{Body, Event, Resync, TraceStart};

/// How many bad lines are reported one by one.
const SAID: u64 = 10;

/// Makes the pipeline once the first event, `trace.start`, says how to set up everything.
pub(super) type Begin<'a, S> =
    Box<dyn FnOnce(&TraceStart, &Event) -> Result<Pipeline<S>, Failure> + 'a>;

/// The reading of all files of one log.
pub(super) struct Walk<'a, S> {
    /// Until then.
    begin: Option<Begin<'a, S>>,
    pipeline: Option<Pipeline<S>>,
    files: &'a Files,
    progress: Rc<RefCell<Progress>>,
    budget: Budget,
    /// The budget was spent.
    stopped: bool,
    carried: Carried,
    /// The part that was read last, and whether it was whole.
    part: Option<(u32, bool)>,
    missing: Vec<Caveat>,
    ended: bool,
}

/// A log that was read.
pub(super) struct Walked<S> {
    /// The pipeline that has taken its events.
    pub(super) pipeline: Pipeline<S>,
    /// What makes the result incomplete.
    pub(super) caveats: Vec<Caveat>,
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
    pub(super) fn new(
        files: &'a Files,
        memory: u64,
        quiet: bool,
        begin: impl FnOnce(&TraceStart, &Event) -> Result<Pipeline<S>, Failure> + 'a,
    ) -> Self {
        Walk {
            begin: Some(Box::new(begin)),
            pipeline: None,
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

    /// Reads them all, and says what is wrong with them. `None`: nobody reads the output any more.
    ///
    /// # Errors
    /// When a file cannot be read, or holds no log.
    pub(super) fn run(mut self) -> Result<Option<Walked<S>>, Failure> {
        for path in &self.files.readable {
            self.file(path, log_files::open(path, &self.progress)?)?;
            if self.is_gone() {
                return Ok(None);
            }
            if self.stopped {
                break;
            }
        }
        self.finish().map(Some)
    }

    /// After the last file.
    pub(super) fn finish(mut self) -> Result<Walked<S>, Failure> {
        self.progress.borrow_mut().clear();
        let Some(pipeline) = self.pipeline else {
            let path = self.files.readable.first().cloned().unwrap_or_default();
            return Err(Failure::CannotRead { path, cause: "it has no events".into() });
        };
        if let Some((part, true)) = self.part {
            let next = LogCaveat::NextPartMissing(part.saturating_add(1));
            self.missing.push(next.of(None));
        }
        let name = match self.files.readable.as_slice() {
            [one] if self.files.bad.is_empty() => format!("{}: ", one.display()),
            _ => String::new(),
        };
        for caveat in &self.missing {
            say(&format!("{name}{}", caveats::text(caveat)));
        }
        let mut all = pipeline.caveats(self.ended);
        all.append(&mut self.missing);
        Ok(Walked { pipeline, caveats: all })
    }

    fn is_gone(&self) -> bool {
        self.pipeline.as_ref().is_some_and(|pipeline| pipeline.sink.is_gone())
    }

    fn hand_on(&mut self, event: &Event) -> Result<(), Failure> {
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.event(event)?;
        }
        Ok(())
    }

    /// Reads one file, already opened.
    pub(super) fn file<R: Read>(&mut self, path: &Path, input: Input<R>) -> Result<(), Failure> {
        let damage = input.damage();
        let mut reader = Reader::new(input);
        let mut bad = 0;
        for line in reader.by_ref() {
            match line {
                // A finding is judged again from its evidence; an unknown type is for newer readers.
                Ok(line) => {
                    if let LineKind::Event(event) = line.kind {
                        self.event(event)?;
                    }
                }
                Err(error) => {
                    let is_passed_over = is_passed_over(path, &error, damage.borrow().as_deref())?;
                    if is_passed_over {
                        bad += 1;
                        self.say_bad(path, &error, bad);
                    }
                    continue;
                }
            }
            if self.is_gone() {
                return Ok(());
            }
            if self.budget.is_spent() {
                self.stopped = true;
                break;
            }
        }
        if bad > SAID {
            let more = plural(bad - SAID, "more line", "more lines");
            say(&format!("{}: {more} skipped", path.display()));
        }
        if self.stopped {
            self.carried = Carried::default();
            self.missing.push(self.budget.caveat(reader.line()).of(None));
            self.ended = false;
            return Ok(());
        }
        self.carried.left = 0;
        self.take_carried()?;
        self.end_of_file(path, reader.summary());
        let damage = damage.borrow_mut().take();
        self.missing.extend(damage.map(|how| LogCaveat::Damaged(how).of(None)));
        Ok(())
    }

    /// Names a bad line, if it is among the first.
    fn say_bad(&self, path: &Path, error: &ReadError, bad: u64) {
        if bad <= SAID {
            self.progress.borrow_mut().clear();
            say(&format!("{}: {error}; the line is skipped", path.display()));
        }
    }

    fn end_of_file(&mut self, path: &Path, summary: &Summary) {
        self.ended = summary.ended;
        if let Some((_, whole)) = &mut self.part {
            *whole = summary.rotated;
        }
        let one = self.files.readable.len() + self.files.bad.len() == 1;
        let name = (!one).then(|| path.display().to_string());
        self.missing.extend(missing(summary).into_iter().map(|what| what.of(name.clone())));
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
        self.hand_on(&event)
    }

    fn start(&mut self, start: &TraceStart, mut event: Event) -> Result<(), Failure> {
        let before = self.part.replace((start.part, false));
        let follows =
            before.is_some_and(|(part, whole)| whole && part.checked_add(1) == Some(start.part));
        self.carried = Carried { left: start.carried, known: follows, events: Vec::new() };
        let Some(begin) = self.begin.take() else {
            let part = before.map_or(0, |(part, _)| part);
            self.missing.extend(gap(part.saturating_add(1), start.part).map(whole_trace));
            return Ok(());
        };
        self.missing.extend(unknown_machine(start).map(whole_trace));
        if start.part > 1 {
            self.missing.extend(gap(1, start.part).map(whole_trace));
        }
        if let Body::TraceStart(start) = &mut event.body {
            // They are handed on as any others, and a filter may leave some out.
            start.carried = 0;
        }
        self.pipeline = Some(begin(start, &event)?);
        self.hand_on(&event)
    }

    /// What was known before a part whose predecessor was not read: all that is alive.
    fn take_carried(&mut self) -> Result<(), Failure> {
        let events = std::mem::take(&mut self.carried.events);
        let Some(boot_ns) = events.first().map(|event| event.boot_ns) else { return Ok(()) };
        let later = self.pipeline.as_ref().is_some_and(|pipeline| pipeline.model().seen() > 0);
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
            self.hand_on(&event)?;
        }
        Ok(())
    }
}

/// Whether an error is of one bad line; false: it is reported at the end.
///
/// # Errors
/// When no more can be read of the file, or it is no log.
fn is_passed_over(path: &Path, error: &ReadError, damage: Option<&str>) -> Result<bool, Failure> {
    let cannot = |cause: String| Failure::CannotRead { path: path.to_owned(), cause };
    match &error.cause {
        Cause::Io(error) => Err(cannot(cause(error))),
        Cause::Cut => Ok(false),
        Cause::Empty | Cause::NoStart(_) if damage.is_some() => {
            Err(cannot(damage.unwrap_or_default().to_owned()))
        }
        Cause::Empty | Cause::NoStart(_) | Cause::NewerSchema(_) | Cause::Endless => {
            Err(cannot(error.cause.to_string()))
        }
        _ => Ok(true),
    }
}

/// A caveat about no file of its own.
fn whole_trace(what: LogCaveat) -> Caveat {
    what.of(None)
}

/// That a part was left out.
fn left_out((path, why): &(PathBuf, String)) -> Caveat {
    let path = path.display().to_string();
    LogCaveat::PartLeftOut { path, why: why.clone() }.of(None)
}

/// That the parts from `due` to the one before `found` were not given, if so.
fn gap(due: u32, found: u32) -> Option<LogCaveat> {
    let last = found.checked_sub(1).filter(|last| *last >= due)?;
    Some(LogCaveat::PartsMissing { first: due, last })
}

/// That waits on the machine of this log are not judged, if so.
fn unknown_machine(start: &TraceStart) -> Option<LogCaveat> {
    let TraceStart { arch, page_size, .. } = start;
    let what = LogCaveat::UnknownMachine { arch: arch.clone(), page_size: *page_size };
    (!start.machine().is_judged()).then_some(what)
}

/// What is missing in one file.
fn missing(summary: &Summary) -> Vec<LogCaveat> {
    let whole = summary.ended || summary.rotated;
    let bad = (summary.bad > 0 && whole).then_some(LogCaveat::BadLines(summary.bad));
    let gap = summary.first_gap.as_ref().map(|gap| LogCaveat::Gap {
        line: gap.line,
        found: gap.found,
        after: gap.expected.saturating_sub(1),
    });
    let cut = (!whole).then_some(LogCaveat::Cut);
    cut.into_iter().chain(bad).chain(gap).collect()
}

//! What fuzz targets call of this room, see [`crate::fuzzing`].

use std::{
    cell::RefCell,
    io::{self, Write},
    path::PathBuf,
    rc::Rc,
};

use super::{
    args::{Color, Events, OutputArgs},
    caveats,
    failure::Failure,
    log_files::Files,
    log_stream::{Sink, Walk},
    output,
    pipeline::{Log, Pipeline},
};
use crate::{fuzzing::checks, report::Style};
use forktrace_log::Input;
use forktrace_model::event::{Event, TraceEnd, TraceStart};

/// What is written, kept.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A report as text and as JSON.
struct Both {
    args: OutputArgs,
    style: Style,
    text: Kept,
    json: Kept,
    pipeline: Option<Pipeline>,
}

impl Sink for Both {
    fn begin(&mut self, start: &TraceStart, event: &Event) -> Result<(), Failure> {
        let text = Box::new(self.text.clone());
        let mut pipeline = output::pipeline_to(text, &self.args, self.style, Events::Waits, event);
        let json = Box::new(self.json.clone());
        pipeline.json = Some(Log::new(forktrace_log::Writer::new(json, start.clock_offset_ns)));
        self.pipeline = Some(pipeline);
        self.event(event)
    }

    fn event(&mut self, event: &Event) -> Result<(), Failure> {
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.event(event)?;
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.pipeline.is_some()
    }

    fn knows_any(&self) -> bool {
        self.pipeline.as_ref().is_some_and(|pipeline| pipeline.model.seen() > 0)
    }
}

/// Reports the parts of a log. `choice` says how it is to look.
pub(crate) fn report(parts: &[Vec<u8>], choice: u64) {
    let color = choice & 7 == 7;
    let style = Style { color, ascii: choice & 8 != 0, width: (choice & 16 != 0).then_some(80) };
    let args = OutputArgs {
        json: false,
        suspects: choice & 1 == 0,
        quiet: choice & 32 != 0,
        verbose: 0,
        color: Color::Never,
        ascii: style.ascii,
    };
    let (text, json) = (Kept::default(), Kept::default());
    let both = Both { args, style, text: text.clone(), json: json.clone(), pipeline: None };
    let paths: Vec<PathBuf> = (0..parts.len()).map(|part| format!("{part}.jsonl").into()).collect();
    let files = Files { readable: paths, bad: Vec::new() };
    if let Err(failure) = walked(parts, &files, both) {
        // As `say` prints it.
        checks::terminal(crate::report::sanitize(&failure.to_string()).as_bytes(), false);
    }
    checks::terminal(&text.0.borrow(), color);
    checks::terminal(&json.0.borrow(), false);
}

fn walked(parts: &[Vec<u8>], files: &Files, both: Both) -> Result<(), Failure> {
    let (style, quiet) = (both.style, both.args.quiet);
    let mut walk = Walk::new(files, both, u64::MAX, true);
    for (part, path) in parts.iter().zip(&files.readable) {
        walk.file(path, Input::new(part.as_slice())?)?;
    }
    let (both, missing, ended) = walk.finish()?;
    let Some(mut pipeline) = both.pipeline else { return Ok(()) };
    pipeline.flush()?;
    if !ended {
        let end = TraceEnd::default();
        pipeline.shortfalls = caveats::of(&end, pipeline.terms, &pipeline.judge);
    }
    pipeline.shortfalls.extend(missing);
    output::summary(&mut pipeline, style, quiet)?;
    Ok(())
}

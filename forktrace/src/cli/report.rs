//! `forktrace report FILE`: the same tree and findings from a recorded log, without root.

use std::{fs::File, io::BufReader, path::Path};

use super::{
    args::{Events, OutputArgs},
    failure::Failure,
    output,
    pipeline::Pipeline,
};
use crate::{
    event::Event,
    log::{Cause, LineKind, Reader, Summary},
};

/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

/// Reads the log once, through the same pipeline as a live trace.
pub(super) fn run(path: &Path, args: &OutputArgs) -> Result<u8, Failure> {
    output::init_diagnostics(args);
    let cannot = |cause: String| Failure::CannotRead { path: path.to_owned(), cause };
    let file = File::open(path).map_err(|error| cannot(error.to_string()))?;
    let mut reader = Reader::new(BufReader::with_capacity(BUFFER, file));
    let mut pipeline: Option<Pipeline> = None;
    for line in reader.by_ref() {
        let line = match line {
            Ok(line) => line,
            Err(error) => match error.cause {
                Cause::Io(_) | Cause::Empty | Cause::NoStart(_) | Cause::NewerSchema(_) => {
                    return Err(cannot(error.cause.to_string()));
                }
                // Said once at the end.
                Cause::Cut => continue,
                _ => {
                    eprintln!("forktrace: {}: {error}; it is passed over", path.display());
                    continue;
                }
            },
        };
        // A finding is judged again from its evidence; an unknown type is for newer readers.
        if let LineKind::Event(event) = line.kind {
            take(&mut pipeline, &event, args)?;
        }
    }
    let Some(mut pipeline) = pipeline else {
        return Err(cannot("it holds no event".into()));
    };
    pipeline.flush()?;
    output::summary(&mut pipeline, output::style(args))?;
    say_what_is_missing(path, reader.summary());
    Ok(0)
}

/// The first event, `trace.start`, says how to set up the pipeline.
fn take(pipeline: &mut Option<Pipeline>, event: &Event, args: &OutputArgs) -> Result<(), Failure> {
    let pipeline = match pipeline {
        Some(pipeline) => pipeline,
        empty => empty.insert(output::pipeline(args, Events::Waits, event)?),
    };
    pipeline.event(event)?;
    Ok(())
}

fn say_what_is_missing(path: &Path, summary: &Summary) {
    let path = path.display();
    if !summary.ended {
        eprintln!(
            "forktrace: {path} was cut off: it has no last line (trace.end), all before it is shown"
        );
    }
    if summary.bad > 0 && summary.ended {
        eprintln!(
            "forktrace: {path}: {} lines could not be read, so this is incomplete",
            summary.bad
        );
    }
    if let Some(gap) = &summary.first_gap {
        eprintln!(
            "forktrace: {path}: lines are missing before line {} (number {} follows {})",
            gap.line,
            gap.found,
            gap.expected.saturating_sub(1)
        );
    }
}

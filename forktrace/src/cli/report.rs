//! `forktrace report FILE`: the same tree and findings from a recorded log, without root.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    os::unix::fs::FileTypeExt as _,
    path::Path,
};

use super::{
    args::{Events, OutputArgs},
    failure::{Failure, cause, say},
    output,
    pipeline::Pipeline,
    shortfalls,
};
use crate::{
    event::{Event, TraceEnd},
    log::{Cause, LineKind, Reader, Summary},
};

/// Bytes read at a time.
const BUFFER: usize = 1 << 20;

/// Reads the log once, through the same pipeline as a live trace.
pub(super) fn run(path: &Path, args: &OutputArgs) -> Result<u8, Failure> {
    output::init_diagnostics(args);
    let mut pipeline: Option<Pipeline> = None;
    let summary = read(path, |event| {
        take(&mut pipeline, event, args)?;
        Ok(!pipeline.as_ref().is_some_and(|pipeline| pipeline.reader_gone))
    })?;
    let Some(mut pipeline) = pipeline else {
        let cause = "it holds no event".into();
        return Err(Failure::CannotRead { path: path.to_owned(), cause });
    };
    if pipeline.reader_gone {
        return Ok(0);
    }
    pipeline.flush()?;
    let missing = missing(&summary);
    if !summary.ended {
        let end = TraceEnd::default();
        pipeline.shortfalls = shortfalls::of(&end, &pipeline.judge);
    }
    for sentence in &missing {
        say(&format!("{}: {sentence}", path.display()));
    }
    pipeline.shortfalls.extend(missing);
    output::summary(&mut pipeline, output::style(args))?;
    Ok(0)
}

/// Hands every event of a log to `take`, until it wants no more (`false`). Lines that cannot be read
/// are told of and passed over.
///
/// # Errors
/// When it is no log or cannot be read on, and what `take` gives.
pub(super) fn read(
    path: &Path,
    mut take: impl FnMut(&Event) -> Result<bool, Failure>,
) -> Result<Summary, Failure> {
    let cannot = |cause: String| Failure::CannotRead { path: path.to_owned(), cause };
    let mut reader = Reader::new(open(path).map_err(cannot)?);
    for line in reader.by_ref() {
        let line = match line {
            Ok(line) => line,
            Err(error) => match error.cause {
                Cause::Io(error) => return Err(cannot(cause(&error))),
                Cause::Empty | Cause::NoStart(_) | Cause::NewerSchema(_) | Cause::Endless => {
                    return Err(cannot(error.cause.to_string()));
                }
                // Said once at the end.
                Cause::Cut => continue,
                _ => {
                    say(&format!("{}: {error}; it is passed over", path.display()));
                    continue;
                }
            },
        };
        // A finding is judged again from its evidence; an unknown type is for newer readers.
        if let LineKind::Event(event) = line.kind
            && !take(&event)?
        {
            break;
        }
    }
    Ok(reader.summary().clone())
}

/// Opens a log; `-` is stdin. What is neither a file nor a pipe holds no log, and may never end.
fn open(path: &Path) -> Result<Box<dyn BufRead>, String> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::with_capacity(BUFFER, io::stdin())));
    }
    let kind = std::fs::metadata(path).map_err(|error| cause(&error))?.file_type();
    if kind.is_dir() {
        return Err("it is a folder; name a file".into());
    }
    if !kind.is_file() && !kind.is_fifo() {
        return Err("it is neither a file nor a pipe".into());
    }
    let file = File::open(path).map_err(|error| cause(&error))?;
    Ok(Box::new(BufReader::with_capacity(BUFFER, file)))
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

/// What is missing in the log, a sentence each.
pub(super) fn missing(summary: &Summary) -> Vec<String> {
    let mut sentences = Vec::new();
    if !summary.ended {
        let cut = "the log was cut off: it has no last line (trace.end), all before it is shown";
        sentences.push(cut.to_owned());
    }
    if summary.bad > 0 && summary.ended {
        let lines = crate::report::plural(summary.bad, "line", "lines");
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

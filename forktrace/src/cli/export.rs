//! `forktrace export FILE --format F`: what a recorded log tells, for other programs.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use super::{
    args::{ExportArgs, Format},
    failure::{Failure, cause},
    output, replay, shortfalls,
    walk::{Sink, Walk},
};
use crate::{
    event::{Body, Event, TraceEnd, TraceStart},
    export::{Story, Teller, html, story::LogEnd},
    log::open_for_writing,
};

/// Bytes buffered before a write.
const BUFFER: usize = 1 << 16;

/// Reads the log once and writes it in another format.
pub(super) fn run(args: &ExportArgs) -> Result<u8, Failure> {
    refuse_the_log_itself(args)?;
    let story = read(&args.files)?;
    let write = |w: &mut dyn Write| -> io::Result<()> {
        let mut w = BufWriter::with_capacity(BUFFER, w);
        match args.format {
            Format::Html => html::write(&mut w, &story)?,
        }
        w.flush()
    };
    if args.output == Path::new("-") {
        write(&mut io::stdout().lock())?;
        return Ok(0);
    }
    let cannot =
        |error: io::Error| Failure::CannotWrite { path: args.output.clone(), cause: cause(&error) };
    let mut file = open_for_writing(&args.output, output::sudo_user()).map_err(cannot)?;
    write(&mut file).map_err(cannot)?;
    Ok(0)
}

/// The log would be empty before anybody could tell.
fn refuse_the_log_itself(args: &ExportArgs) -> Result<(), Failure> {
    let output = args.output.canonicalize().ok();
    let is_output = |file: &PathBuf| output.is_some() && file.canonicalize().ok() == output;
    match args.files.iter().any(is_output) {
        true => Err(Failure::CannotWrite {
            path: args.output.clone(),
            cause: "it is the log itself; name another file".into(),
        }),
        false => Ok(()),
    }
}

/// Gathers what the log tells. What is wrong in it is said, and becomes part of it.
fn read(files: &[PathBuf]) -> Result<Story, Failure> {
    let files = replay::in_order(files)?;
    let (listener, missing, _) = Walk::new(&files, Listener::default(), true).run()?;
    let Listener { teller, min_wait_ns, end, .. } = listener;
    let mut shortfalls = shortfalls::of(&end, min_wait_ns, teller.follow().judge());
    shortfalls.extend(missing);
    Ok(teller.finish(LogEnd { shortfalls }))
}

/// Listens to a log for what it tells.
#[derive(Default)]
struct Listener {
    teller: Teller,
    has_begun: bool,
    min_wait_ns: u64,
    end: TraceEnd,
}

impl Sink for Listener {
    fn begin(&mut self, start: &TraceStart, event: &Event) -> Result<(), Failure> {
        self.has_begun = true;
        self.min_wait_ns = start.min_wait_ns;
        self.event(event)
    }

    fn event(&mut self, event: &Event) -> Result<(), Failure> {
        self.teller.event(event);
        if let Body::TraceEnd(end) = &event.body {
            self.end = end.clone();
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        self.has_begun
    }

    fn knows_any(&self) -> bool {
        self.teller.follow().model().seen() > 0
    }
}

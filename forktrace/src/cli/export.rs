//! `forktrace export FILE --format F`: what a recorded log tells, for other programs.

use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

use super::{
    args::{ExportArgs, Format},
    failure::{Failure, cause, say},
    output, report, shortfalls,
};
use crate::{
    event::{Body, TraceEnd},
    export::{Story, Teller, html, story::LogEnd},
    log::{Cause, LineKind, Reader, open_for_writing},
};

/// Bytes buffered before a write.
const BUFFER: usize = 1 << 16;

/// Reads the log once and writes it in another format.
pub(super) fn run(args: &ExportArgs) -> Result<u8, Failure> {
    refuse_the_log_itself(args)?;
    let story = read(&args.file)?;
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
    let same = args.file.canonicalize().ok().zip(args.output.canonicalize().ok());
    match same.is_some_and(|(file, output)| file == output) {
        true => Err(Failure::CannotWrite {
            path: args.output.clone(),
            cause: "it is the log itself; name another file".into(),
        }),
        false => Ok(()),
    }
}

/// Gathers what the log tells. What is wrong in it is said, and becomes part of it.
fn read(path: &Path) -> Result<Story, Failure> {
    let cannot = |cause: String| Failure::CannotRead { path: path.to_owned(), cause };
    let mut reader = Reader::new(report::open(path).map_err(cannot)?);
    let mut teller = Teller::default();
    let mut end = TraceEnd::default();
    for line in reader.by_ref() {
        match line {
            Ok(line) => {
                // A finding is judged again from its evidence; an unknown type is for newer readers.
                let LineKind::Event(event) = line.kind else { continue };
                teller.event(&event);
                if let Body::TraceEnd(last) = event.body {
                    end = last;
                }
            }
            Err(error) => match error.cause {
                Cause::Io(error) => return Err(cannot(cause(&error))),
                Cause::Empty | Cause::NoStart(_) | Cause::NewerSchema(_) | Cause::Endless => {
                    return Err(cannot(error.cause.to_string()));
                }
                // Said once at the end.
                Cause::Cut => {}
                _ => say(&format!("{}: {error}; it is passed over", path.display())),
            },
        }
    }
    let mut shortfalls = shortfalls::of(&end, teller.follow().judge());
    for sentence in report::missing(reader.summary()) {
        say(&format!("{}: {sentence}", path.display()));
        shortfalls.push(sentence);
    }
    Ok(teller.finish(LogEnd { shortfalls }))
}

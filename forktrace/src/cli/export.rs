//! `forktrace export FILE`: a recorded log for other programs.

use std::{
    fs,
    io::{self, BufWriter, IsTerminal as _, Write},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use super::{
    args::{ExportArgs, Format},
    failure::{Failure, cause, say},
    output, report, shortfalls, usage,
};
use crate::{
    event::{Body, TraceEnd},
    export::{
        self, Follow, Teller,
        story::LogEnd,
        table::{Row, Rows},
    },
    log::{self, Summary},
};

/// Bytes buffered before a write.
const BUFFER: usize = 1 << 16;

type Out = Box<dyn Write + Send>;

/// Reads the log once and writes what it tells.
pub(super) fn run(args: &ExportArgs) -> Result<u8, Failure> {
    let format = format(args)?;
    refuse(args, format)?;
    match format {
        Format::Csv => {
            let mut csv = export::csv::Writer::new(open(args)?).map_err(|e| failed(args, e))?;
            table(args, |row| csv.row(row))?;
            csv.finish().map_err(|e| failed(args, e))?;
        }
        #[cfg(feature = "parquet")]
        Format::Parquet => {
            let out = open(args)?;
            let mut file = export::parquet::Writer::new(out).map_err(|e| failed(args, e))?;
            table(args, |row| file.row(row))?;
            file.finish().map_err(|e| failed(args, e))?;
        }
        Format::Perfetto | Format::Dot | Format::Svg => picture(args, format)?,
    }
    Ok(0)
}

fn format(args: &ExportArgs) -> Result<Format, Failure> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    let extension = args.output.as_deref().and_then(Path::extension);
    match extension.and_then(|extension| extension.to_str()) {
        Some("perfetto" | "perfetto-trace" | "pftrace") => Ok(Format::Perfetto),
        #[cfg(feature = "parquet")]
        Some("parquet") => Ok(Format::Parquet),
        Some("csv") => Ok(Format::Csv),
        Some("dot" | "gv") => Ok(Format::Dot),
        Some("svg") => Ok(Format::Svg),
        _ => Err(usage("no format is given and the name of OUT tells none; add --format")),
    }
}

/// What would do harm: bytes on a terminal, a log written over itself.
fn refuse(args: &ExportArgs, format: Format) -> Result<(), Failure> {
    let Some(path) = target(args) else {
        let text = matches!(format, Format::Csv | Format::Dot | Format::Svg);
        return match !text && io::stdout().is_terminal() {
            true => Err(usage("this format is no text for a terminal; add -o FILE")),
            false => Ok(()),
        };
    };
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    match (&fs::metadata(&args.file), &fs::metadata(path)) {
        (Ok(log), Ok(out)) if same(log, out) => Err(Failure::CannotWrite {
            path: path.to_owned(),
            cause: "it is the log itself; name another file".into(),
        }),
        _ => Ok(()),
    }
}

/// The file to write; `None`: stdout.
fn target(args: &ExportArgs) -> Option<&Path> {
    args.output.as_deref().filter(|path| *path != Path::new("-"))
}

/// An export tells what its log tells, so it is kept as the log is.
fn open(args: &ExportArgs) -> Result<Out, Failure> {
    let Some(path) = target(args) else {
        return Ok(Box::new(BufWriter::with_capacity(BUFFER, io::stdout())));
    };
    let file = log::open_for_writing(path, output::sudo_user());
    Ok(Box::new(BufWriter::with_capacity(BUFFER, file.map_err(|error| failed(args, error))?)))
}

fn failed(args: &ExportArgs, error: io::Error) -> Failure {
    match target(args) {
        Some(path) => Failure::CannotWrite { path: path.to_owned(), cause: cause(&error) },
        None => Failure::Output(error),
    }
}

/// Writes rows as they come: a table of any length needs no more memory than its log's processes.
fn table(args: &ExportArgs, mut write: impl FnMut(&Row) -> io::Result<()>) -> Result<(), Failure> {
    let mut rows = Rows::default();
    let summary = report::read(&args.file, |event| {
        let (row, finding) = rows.event(event);
        write(&row).map_err(|error| failed(args, error))?;
        if let Some(finding) = finding {
            write(&finding).map_err(|error| failed(args, error))?;
        }
        Ok(true)
    })?;
    tell_missing(args, &summary);
    Ok(())
}

fn picture(args: &ExportArgs, format: Format) -> Result<(), Failure> {
    let mut teller = Teller::default();
    let mut end = None;
    let summary = report::read(&args.file, |event| {
        teller.event(event);
        if let Body::TraceEnd(body) = &event.body {
            end = Some(body.clone());
        }
        Ok(true)
    })?;
    tell_missing(args, &summary);
    let shortfalls = shortfalls(teller.follow(), &end.unwrap_or_default(), &summary);
    let story = teller.finish(LogEnd { shortfalls });
    for (kind, count) in &story.left_out {
        say(&format!("{count} {kind} are left out: more are not drawn; use --format csv for all"));
    }
    let mut out = open(args)?;
    let written = match format {
        Format::Perfetto => export::perfetto::write(&mut out, &story, args.suspects),
        Format::Dot => export::dot::write(&mut out, &story, args.suspects),
        _ => export::svg::write(&mut out, &story, args.suspects),
    };
    written.and_then(|()| out.flush()).map_err(|error| failed(args, error))
}

/// What makes the result incomplete, the same as `report` says.
fn shortfalls(follow: &Follow, end: &TraceEnd, summary: &Summary) -> Vec<String> {
    let mut sentences = shortfalls::of(end, follow.judge());
    sentences.extend(report::missing(summary));
    sentences
}

fn tell_missing(args: &ExportArgs, summary: &Summary) {
    for sentence in report::missing(summary) {
        say(&format!("{}: {sentence}", args.file.display()));
    }
}

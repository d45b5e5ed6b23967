//! `forktrace export FILE…`: a recorded log for other programs.

use std::{
    fs,
    io::{self, BufWriter, IsTerminal as _, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    args::{ExportArgs, Format},
    failure::{Failure, cause, say},
    log_files,
    log_stream::{Walk, Walked},
    output, usage,
};
use crate::{
    export::{
        self, TimelineBuilder,
        table::{Row, Table},
        timeline::LogEnd,
    },
    report::{caveats, unjudged},
};

/// Bytes buffered before a write.
const BUFFER: usize = 1 << 16;

type Out = Box<dyn Write + Send>;

/// Reads the log once and writes the export. An existing file is replaced only when the new one is
/// complete.
pub(super) fn run(args: &ExportArgs) -> Result<u8, Failure> {
    let format = format(args)?;
    refuse(args, format)?;
    let written = write(args, format);
    let Some(path) = target(args) else { return written.map(|()| 0) };
    let placed =
        written.and_then(|()| fs::rename(partial(path), path).map_err(|error| failed(args, error)));
    if placed.is_err() {
        // It may never have been made.
        let _ = fs::remove_file(partial(path));
    }
    placed.map(|()| 0)
}

fn write(args: &ExportArgs, format: Format) -> Result<(), Failure> {
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
        Format::Html | Format::Perfetto | Format::Dot | Format::Svg | Format::Sarif => {
            picture(args, format)?;
        }
    }
    Ok(())
}

fn format(args: &ExportArgs) -> Result<Format, Failure> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    let extension = args.output.as_deref().and_then(Path::extension);
    match extension.and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => Ok(Format::Html),
        Some("perfetto" | "perfetto-trace" | "pftrace") => Ok(Format::Perfetto),
        #[cfg(feature = "parquet")]
        Some("parquet") => Ok(Format::Parquet),
        Some("csv") => Ok(Format::Csv),
        Some("dot" | "gv") => Ok(Format::Dot),
        Some("svg") => Ok(Format::Svg),
        Some("sarif") => Ok(Format::Sarif),
        _ => Err(usage(
            "unknown format: add --format, or use a name for OUT that ends in .html, .perfetto, \
             .parquet, .csv, .dot, .svg or .sarif",
        )),
    }
}

#[cfg(feature = "parquet")]
fn is_parquet(format: Format) -> bool {
    matches!(format, Format::Parquet)
}

#[cfg(not(feature = "parquet"))]
fn is_parquet(_: Format) -> bool {
    false
}

/// What would do harm: bytes on a terminal, a log written over itself.
fn refuse(args: &ExportArgs, format: Format) -> Result<(), Failure> {
    let Some(path) = target(args) else {
        let text = !matches!(format, Format::Perfetto) && !is_parquet(format);
        return match !text && io::stdout().is_terminal() {
            true => Err(usage("this format is binary, and stdout is a terminal; add -o FILE")),
            false => Ok(()),
        };
    };
    let cannot = |cause: &str| Failure::CannotWrite { path: path.to_owned(), cause: cause.into() };
    match fs::symlink_metadata(path).map(|file| file.file_type()) {
        Ok(kind) if kind.is_symlink() => {
            return Err(cannot("it is a symbolic link; name another file"));
        }
        Ok(kind) if !kind.is_file() => {
            return Err(cannot("it is not a regular file; name another file, or `-` for stdout"));
        }
        _ => {}
    }
    let file = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let out = file(path);
    match out.is_some() && args.files.iter().any(|log| file(log) == out) {
        true => Err(cannot("it is the log itself; name another file")),
        false => Ok(()),
    }
}

/// The file to write; `None`: stdout.
fn target(args: &ExportArgs) -> Option<&Path> {
    args.output.as_deref().filter(|path| *path != Path::new("-"))
}

/// Where a file is written until it is whole.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Opens the output. An export is as private as its log, so it has the same owner and mode.
fn open(args: &ExportArgs) -> Result<Out, Failure> {
    let Some(path) = target(args) else {
        return Ok(Box::new(BufWriter::with_capacity(BUFFER, io::stdout())));
    };
    let file = forktrace_log::open_for_writing(&partial(path), output::sudo_user());
    Ok(Box::new(BufWriter::with_capacity(BUFFER, file.map_err(|error| failed(args, error))?)))
}

fn failed(args: &ExportArgs, error: io::Error) -> Failure {
    match target(args) {
        Some(path) => Failure::CannotWrite { path: path.to_owned(), cause: cause(&error) },
        None => Failure::Output(error),
    }
}

/// Writes rows as they come: a table of any length needs no more memory than its log's processes.
fn table(args: &ExportArgs, write: impl FnMut(&Row) -> io::Result<()>) -> Result<(), Failure> {
    let files = log_files::in_order(&args.files)?;
    let walk =
        Walk::new(&files, args.memory, true, |_, _| Ok(Table::pipeline(write).audited(args.audit)));
    walk.run().map(drop).map_err(|failure| match failure {
        // What is written here goes to the file alone.
        Failure::Output(error) => failed(args, error),
        failure => failure,
    })
}

fn picture(args: &ExportArgs, format: Format) -> Result<(), Failure> {
    let files = log_files::in_order(&args.files)?;
    let walk = Walk::new(&files, args.memory, true, |_, _| {
        Ok(TimelineBuilder::pipeline().audited(args.audit))
    });
    let Some(Walked { pipeline, caveats }) = walk.run()? else { return Ok(()) };
    let (waits, total) = pipeline.unaccounted();
    let waits =
        unjudged::lines(&waits, total, pipeline.model().span_ns().1, pipeline.model().machine());
    let shortfalls = caveats.iter().map(caveats::text).chain(waits).collect();
    let story = pipeline.finish(LogEnd { shortfalls });
    for (kind, count) in &story.left_out {
        say(&format!(
            "{count} {kind} are not drawn: there are too many; use --format csv to get all"
        ));
    }
    let mut out = open(args)?;
    let written = match format {
        Format::Html => export::html::write(&mut out, &story),
        Format::Perfetto => export::perfetto::write(&mut out, &story, args.suspects),
        Format::Dot => export::dot::write(&mut out, &story, args.suspects),
        Format::Sarif => {
            let root = std::env::current_dir().unwrap_or_default();
            export::sarif::write(&mut out, &story, &root, args.suspects)
        }
        _ => export::svg::write(&mut out, &story, args.suspects),
    };
    written.and_then(|()| out.flush()).map_err(|error| failed(args, error))
}

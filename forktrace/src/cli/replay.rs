//! Finding, opening and ordering the files of a recorded log.

use std::{
    cell::RefCell,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    rc::Rc,
};

use super::{
    failure::{Failure, cause},
    progress::{Counted, Progress},
};
use crate::{
    event::{Body, TraceStart},
    log::{Input, LineKind, Reader},
};

/// A log's file, opened.
pub(super) type Source = Input<Counted<Box<dyn Read>>>;

/// Opens a log; `-` is stdin. What is neither a file nor a pipe holds no log, and may never end.
pub(super) fn open(path: &Path, progress: &Rc<RefCell<Progress>>) -> Result<Source, Failure> {
    let cannot = |cause: String| Failure::CannotRead { path: path.to_owned(), cause };
    let file: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin()),
        false => {
            let kind = std::fs::metadata(path).map_err(|error| cannot(cause(&error)))?.file_type();
            if kind.is_dir() {
                return Err(cannot("it is a folder; name a file".into()));
            }
            if !kind.is_file() && !kind.is_fifo() {
                return Err(cannot("it is neither a file nor a pipe".into()));
            }
            Box::new(File::open(path).map_err(|error| cannot(cause(&error)))?)
        }
    };
    let counted = Counted { file, progress: Rc::clone(progress) };
    Input::new(counted).map_err(|error| cannot(cause(&error)))
}

/// Counts the bytes of these files.
pub(super) fn progress(files: &[PathBuf], quiet: bool) -> Rc<RefCell<Progress>> {
    let sizes = files.iter().filter_map(|path| std::fs::metadata(path).ok());
    let total = sizes.filter(|file| file.is_file()).map(|file| file.len()).sum();
    Rc::new(RefCell::new(Progress::new(total, quiet)))
}

/// Puts the files of one trace in their order.
///
/// # Errors
/// When they are not parts of one trace, or a part comes twice.
pub(super) fn in_order(files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let [first, _, ..] = files else { return Ok(files.to_vec()) };
    let mut parts = Vec::new();
    for path in files {
        parts.push((first_line(path)?, path.clone()));
    }
    let trace = parts.first().map(|(start, _)| start.trace_id.clone()).unwrap_or_default();
    for (start, path) in &parts {
        let why = match () {
            () if path == Path::new("-") => "stdin can only be read alone",
            () if start.trace_id.is_empty() || start.part == 0 => {
                "it is a whole log and no part of one; give each log to a report of its own"
            }
            () if start.trace_id != trace => {
                let other = first.display();
                let cause =
                    format!("it is of another trace than {other}; give each its own report");
                return Err(Failure::CannotRead { path: path.clone(), cause });
            }
            () => continue,
        };
        return Err(Failure::CannotRead { path: path.clone(), cause: why.into() });
    }
    parts.sort_by_key(|(start, _)| start.part);
    for pair in parts.windows(2) {
        if let [(one, path), (other, again)] = pair
            && one.part == other.part
        {
            let cause = format!("it is part {} as {} is", one.part, path.display());
            return Err(Failure::CannotRead { path: again.clone(), cause });
        }
    }
    Ok(parts.into_iter().map(|(_, path)| path).collect())
}

fn first_line(path: &Path) -> Result<TraceStart, Failure> {
    let input = open(path, &progress(&[], true))?;
    let cannot = |cause: String| Failure::CannotRead { path: path.to_owned(), cause };
    match Reader::new(input).next() {
        Some(Ok(line)) => match line.kind {
            LineKind::Event(event) => match event.body {
                Body::TraceStart(start) => Ok(*start),
                _ => Err(cannot("it does not begin with a trace.start line".into())),
            },
            _ => Err(cannot("it does not begin with a trace.start line".into())),
        },
        Some(Err(error)) => Err(cannot(error.cause.to_string())),
        None => Err(cannot("it is empty".into())),
    }
}

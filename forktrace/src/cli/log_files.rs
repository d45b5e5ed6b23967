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
use forktrace_log::{Cause, Input, Line, LineKind, ReadError, Reader};
use forktrace_model::event::{Body, Event, TraceStart};

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
                return Err(cannot("it is a directory; name a file".into()));
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

/// The files of one trace.
pub(super) struct Files {
    /// Those that can be read, in their order.
    pub(super) readable: Vec<PathBuf>,
    /// Parts without a readable beginning, and why. They are as good as missing.
    pub(super) bad: Vec<(PathBuf, String)>,
}

/// Puts the files of one trace in their order.
///
/// # Errors
/// When they are not parts of one trace, a part comes twice, or none can be read.
pub(super) fn in_order(files: &[PathBuf]) -> Result<Files, Failure> {
    let mut bad = Vec::new();
    let [_, _, ..] = files else { return Ok(Files { readable: files.to_vec(), bad }) };
    let mut parts = Vec::new();
    for path in files {
        match first_line(path)? {
            Ok(start) => parts.push((start, path.clone())),
            Err(why) => bad.push((path.clone(), why)),
        }
    }
    if parts.is_empty()
        && let Some((path, cause)) = bad.pop()
    {
        return Err(Failure::CannotRead { path, cause });
    }
    let trace = parts.first().map(|(start, _)| start.trace_id.clone()).unwrap_or_default();
    let first = parts.first().map(|(_, path)| path.display().to_string()).unwrap_or_default();
    for (start, path) in &parts {
        let cause = match () {
            () if start.trace_id.is_empty() || start.part == 0 => {
                "it is a complete log, not part of one; report each log alone".into()
            }
            () if start.trace_id != trace => {
                format!("it belongs to another trace than {first}; report each trace alone")
            }
            () => continue,
        };
        return Err(Failure::CannotRead { path: path.clone(), cause });
    }
    parts.sort_by_key(|(start, _)| start.part);
    for pair in parts.windows(2) {
        if let [(one, path), (other, again)] = pair
            && one.part == other.part
        {
            let cause = format!("it is part {}, and so is {}", one.part, path.display());
            return Err(Failure::CannotRead { path: again.clone(), cause });
        }
    }
    Ok(Files { readable: parts.into_iter().map(|(_, path)| path).collect(), bad })
}

/// What a part says of itself, or why its beginning is no use.
fn first_line(path: &Path) -> Result<Result<TraceStart, String>, Failure> {
    let cannot = |cause: String| Failure::CannotRead { path: path.to_owned(), cause };
    if path == Path::new("-") {
        return Err(cannot("stdin cannot be combined with other files".into()));
    }
    let input = open(path, &progress(&[], true))?;
    let damage = input.damage();
    match Reader::new(input).next() {
        Some(Ok(Line {
            kind: LineKind::Event(Event { body: Body::TraceStart(start), .. }),
            ..
        })) => Ok(Ok(*start)),
        Some(Err(ReadError { cause: why @ (Cause::Empty | Cause::NoStart(_)), .. })) => {
            Ok(Err(damage.borrow_mut().take().unwrap_or_else(|| why.to_string())))
        }
        Some(Err(ReadError { cause: Cause::Io(error), .. })) => Err(cannot(cause(&error))),
        Some(Err(error)) => Err(cannot(error.cause.to_string())),
        // A reader gives one of the above.
        Some(Ok(_)) | None => Err(cannot("it does not begin with a trace.start line".into())),
    }
}

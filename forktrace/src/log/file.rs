//! The file that a log is written to.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

/// Opens `path` for a new log, creating it readable and writable by its owner only.
///
/// The tracer runs as root and the path may lie in a folder that others can write to, so nothing
/// is ever written through a link: a symbolic link as the last component, a file with several hard
/// links, and anything that is no regular file are refused before a byte is changed. An existing
/// regular file is emptied and keeps its owner and mode.
pub fn open_for_writing(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        // O_NONBLOCK: a named pipe without reader must be refused, not waited for.
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path);
    let file = opened.map_err(|error| explain(error, path))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(refuse(path, "is no regular file"));
    }
    if metadata.nlink() > 1 {
        return Err(refuse(path, "has more than one hard link"));
    }
    file.set_len(0)?;
    Ok(file)
}

fn explain(error: io::Error, path: &Path) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ELOOP) => refuse(path, "is a symbolic link"),
        Some(libc::ENXIO) => refuse(path, "is no regular file"),
        _ => error,
    }
}

fn refuse(path: &Path, why: &str) -> io::Error {
    let text = format!("{path:?} {why}: it is not overwritten; name another file");
    io::Error::new(ErrorKind::InvalidInput, text)
}

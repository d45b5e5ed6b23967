//! The file that a log is written to.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::Path,
};

/// Opens `path` for a new log that its owner only may read and write: it holds the memory of the
/// traced programs.
///
/// The tracer runs as root and the path may lie in a folder that others can write to, so nothing
/// is ever written through a link: a symbolic link as the last component, a file with several hard
/// links, anything that is no regular file, and a file of somebody else, who could read what comes
/// to it, are refused before a byte is changed. An existing regular file of this user or of `owner`
/// (user and group id) is emptied, keeps its owner, and loses the rights of others. A new one is
/// given to `owner`.
///
/// # Errors
/// When the file cannot be made or must not be overwritten.
pub fn open_for_writing(path: &Path, owner: Option<(u32, u32)>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .mode(0o600)
        // O_NONBLOCK: a named pipe without reader must be refused, not waited for.
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY);
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(explain(error, path)),
        Ok(file) => {
            if let Some((user, group)) = owner {
                fchown(&file, Some(user), Some(group))?;
            }
            return Ok(file);
        }
    }
    // O_CREAT again, though it exists: only with it the kernel refuses a file that somebody else
    // has put into a folder for everybody (`may_create_in_sticky`, `fs/namei.c`, Linux 6.18).
    let file = options.create(true).open(path).map_err(|error| explain(error, path))?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(refuse(path, "is not a regular file"));
    }
    if metadata.nlink() > 1 {
        return Err(refuse(path, "has more than one hard link"));
    }
    let ours = [Some(nix::unistd::geteuid().as_raw()), owner.map(|(user, _)| user)];
    if !ours.contains(&Some(metadata.uid())) {
        return Err(refuse(path, "belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    file.set_len(0)?;
    Ok(file)
}

fn explain(error: io::Error, path: &Path) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ELOOP) => refuse(path, "is a symbolic link"),
        Some(libc::ENXIO) => refuse(path, "is not a regular file"),
        _ => error,
    }
}

fn refuse(path: &Path, why: &str) -> io::Error {
    let text = format!("{path:?} {why}, and is not overwritten; name another file");
    io::Error::new(ErrorKind::InvalidInput, text)
}

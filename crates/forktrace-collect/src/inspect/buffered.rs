//! What a buffer's object is, and where it writes to.

use std::{fs, path::PathBuf};

use forktrace_model::{
    buffers::{EXTENT, Unwritten},
    event::BufferKind,
};

use super::{evidence::python_type, memory};

/// Size of the head of a Python object, bytes, and from the object on, the descriptor of a `FileIO` (`fileio`,
/// `Modules/_io/fileio.c`, CPython 3.8 to 3.14).
const HEAD: u64 = 16;
const FILEIO_FD: u64 = 16;
/// From a `BufferedWriter` on, the raw file below it (`buffered`, `Modules/_io/bufferedio.c`).
const RAW: u64 = 16;
const PYTHON: &[&str] = &["_io.BufferedWriter", "_io.BufferedRandom", "_io.TextIOWrapper"];
const PYTHON_RAW: &[&str] = &["_io.FileIO"];

/// The bytes of an object in the memory of process `pid` now; `None`: they cannot be read.
pub fn object(pid: u32, address: u64) -> Option<Vec<u8>> {
    memory::read(pid, address, EXTENT).ok().filter(|bytes| bytes.len() == EXTENT)
}

/// Whether the bytes that look like a buffer of Python are one, by their type. `None`: the process cannot be
/// read.
pub fn is_python(pid: u32, buffer: &Unwritten) -> Option<bool> {
    object(pid, buffer.address)?;
    let name = python_type(pid, buffer.address.checked_add(HEAD)?);
    Some(name.is_some_and(|name| PYTHON.iter().any(|known| names(&name, known))))
}

/// Types are named with their module or without it.
fn names(name: &str, known: &str) -> bool {
    name == known || known.rsplit('.').next() == Some(name)
}

/// The descriptor that a buffer writes to, in process `pid`.
pub fn descriptor(pid: u32, buffer: &Unwritten) -> Option<i32> {
    let inner = match buffer.kind {
        BufferKind::PythonText => memory::word(pid, buffer.inner?.checked_add(RAW)?),
        BufferKind::PythonBytes => buffer.inner,
        _ => return buffer.fd,
    }?;
    let name = python_type(pid, inner.checked_add(HEAD)?)?;
    PYTHON_RAW.iter().any(|known| names(&name, known)).then_some(())?;
    let bytes = memory::read(pid, inner.checked_add(FILEIO_FD)?, 4).ok()?;
    Some(i32::from_le_bytes(bytes.try_into().ok()?)).filter(|fd| *fd >= 0)
}

/// What a descriptor of process `pid` is of, as the kernel tells it: a path, or `pipe:[4711]`.
pub fn file(pid: u32, fd: i32) -> Option<String> {
    let path = fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()?;
    Some(path.to_string_lossy().into_owned())
}

/// Most descriptors of one process that are compared.
const MOST_FDS: usize = 64;

/// The descriptors of a child that are of something else than those of the process that forked it.
pub fn elsewhere(child: u32, parent: u32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{child}/fd")) else { return Vec::new() };
    let fds = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let link = |pid: u32, fd: i32| -> Option<PathBuf> {
        fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok()
    };
    let differs = |fd: &i32| match (link(child, *fd), link(parent, *fd)) {
        (Some(own), Some(other)) => own != other,
        _ => false,
    };
    fds.take(MOST_FDS).filter(differs).collect()
}

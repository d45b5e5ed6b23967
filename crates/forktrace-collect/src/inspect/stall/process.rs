//! What is told of each process of a stall.

use std::{fs, os::unix::fs::FileExt as _};

use forktrace_model::event::stall::{Runtime, StallProcess};

use super::host::Host;
use crate::inspect::{evidence, fuse, kcmp, memory, proc_text::Status, scan};

/// What is told of a process, of which `tid` is a living thread.
pub(super) fn facts(pid: u32, tid: u32, host: &Host) -> StallProcess {
    let exe = fs::read_link(format!("/proc/{pid}/task/{tid}/exe")).ok();
    let exe = exe.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default();
    let handlers = Status::of(pid, tid).ok().and_then(|status| status.handlers);
    StallProcess {
        pid,
        ppid: host.processes().get(&pid).map_or(0, |process| process.ppid),
        ns_pid: scan::ns_pid(pid),
        handlers,
        timers: evidence::timers(pid),
        // It tells handlers of the program from those of the runtime.
        runtime: handlers.filter(|handlers| *handlers != 0).and_then(|_| runtime(pid, &exe)),
        exe,
    }
}

/// Most mapped files that are looked at for Go's mark.
const MOST_FILES: usize = 64;
/// Bytes from the start of a file in which the mark is: the linker puts it right behind the headers.
const HEAD: usize = 4096;

/// The language runtime of a process, where it is known.
pub fn runtime_of(pid: u32) -> Option<Runtime> {
    let exe = fs::read_link(format!("/proc/{}/exe", kcmp::shown(pid))).ok()?;
    runtime(pid, &exe.to_string_lossy())
}

fn runtime(pid: u32, exe: &str) -> Option<Runtime> {
    let mut paths: Vec<(String, u64)> = Vec::new();
    for mapping in memory::mappings(pid).ok()? {
        if mapping.path.starts_with('/') && !paths.iter().any(|(path, _)| *path == mapping.path) {
            paths.push((mapping.path, mapping.start));
        }
    }
    let named = paths.iter().find_map(|(path, _)| of_name(name(path)));
    named.or_else(|| of_name(name(exe))).or_else(|| {
        let mut files = paths.iter().take(MOST_FILES);
        files.any(|(_, start)| has_gos_mark(pid, *start)).then_some(Runtime::Go)
    })
}

fn name(path: &str) -> &str {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.rsplit('/').next().unwrap_or(path)
}

/// By the name of a program or of the library that holds the runtime.
pub(super) fn of_name(name: &str) -> Option<Runtime> {
    let versioned = |stem: &str| {
        name.strip_prefix(stem).is_some_and(|rest| {
            rest.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b't' | b'd'))
        })
    };
    let library = |stem: &str| name.strip_prefix(stem).is_some_and(|rest| rest.contains(".so"));
    match () {
        () if versioned("python") || library("libpython") => Some(Runtime::Python),
        () if versioned("ruby") || library("libruby") => Some(Runtime::Ruby),
        () if name == "libjvm.so" => Some(Runtime::Java),
        () if name == "libcoreclr.so" => Some(Runtime::Dotnet),
        () if versioned("node") || name == "nodejs" || library("libnode") => Some(Runtime::Node),
        () => None,
    }
}

/// Whether a file was made by Go's linker: it has a note of Go's build number (`.note.go.buildid`,
/// `cmd/link/internal/ld/elf.go`, Go 1.22), in programs and in libraries of `-buildmode=c-shared`.
fn has_gos_mark(pid: u32, start: u64) -> bool {
    let mut head = [0; HEAD];
    let read = fuse::open_mapped(pid, start).and_then(|file| file.read_at(&mut head, 0));
    read.is_ok_and(|len| is_gos(head.get(..len).unwrap_or_default()))
}

/// Type 4 and the name `Go`, of the note's head.
pub(super) fn is_gos(head: &[u8]) -> bool {
    let mark = *b"\x04\0\0\0Go\0\0";
    head.starts_with(b"\x7fELF") && head.windows(mark.len()).any(|bytes| bytes == mark)
}

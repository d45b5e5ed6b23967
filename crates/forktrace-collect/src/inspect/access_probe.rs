//! How far this process's privilege reaches into other processes, tried on those that run here.

use std::{fs, fs::File, io};

use super::{Error, Result, fuse::open_mapped, proc_text, scan};

/// Processes that are tried: enough to meet one of another user.
const TRIED: usize = 64;

/// Of how many processes what could be opened. Nothing of them is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Processes that were tried, this one left out.
    pub(crate) tried: usize,
    /// Those whose memory can be read.
    pub(crate) memory: usize,
    /// Those whose memory something denies, and the first of them.
    pub(crate) denied: usize,
    pub(crate) first_denied: Option<u32>,
    /// Those whose mapped files can be opened.
    pub(crate) files: usize,
}

/// Tries it.
pub(crate) fn reach() -> Reach {
    let own = std::process::id();
    let pids = scan::all().unwrap_or_default().into_iter();
    // What has ended has no program, and no memory. (A command line is memory, which may be on a file
    // system that does not answer.)
    let has_no_program = |pid: &u32| {
        let link = fs::read_link(format!("/proc/{pid}/exe"));
        link.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let is_user = |pid: &u32| *pid != own && !has_no_program(pid);
    let mut reach = Reach::default();
    for pid in pids.filter(is_user).take(TRIED) {
        reach.tried += 1;
        match open(pid, "mem") {
            Ok(()) => reach.memory += 1,
            Err(Error::Denied { .. }) => {
                reach.denied += 1;
                reach.first_denied.get_or_insert(pid);
            }
            Err(_) => {}
        }
        reach.files += usize::from(opens_a_file(pid));
    }
    reach
}

/// Whether something denies what is read of a thread and its process. With `CAP_SYS_PTRACE` that is a
/// security module. Some of them tell reading from tracing, which the first and the last of these
/// files count as (`proc_pid_syscall` and `mem_open` ask for `PTRACE_MODE_ATTACH`, `fs/proc/base.c`,
/// Linux 6.18).
pub(super) fn is_denied(pid: u32, tid: u32) -> bool {
    // This one is asked for at its reading only.
    let call = proc_text::bytes(pid, &format!("{pid}/task/{tid}/syscall"), 1).map(drop);
    let denied = |looked: Result<()>| matches!(looked, Err(Error::Denied { .. }));
    denied(call) || ["maps", "mem"].into_iter().any(|file| denied(open(pid, file)))
}

fn open(pid: u32, file: &'static str) -> Result<()> {
    let opened = File::open(format!("/proc/{pid}/{file}"));
    opened.map(drop).map_err(|error| Error::sort(pid, file, error))
}

/// Every process maps its program.
fn opens_a_file(pid: u32) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/map_files")).into_iter().flatten().flatten();
    let start = |file: fs::DirEntry| {
        let name = file.file_name();
        u64::from_str_radix(name.to_str()?.split('-').next()?, 16).ok()
    };
    files.take(1).filter_map(start).any(|start| open_mapped(pid, start).is_ok())
}

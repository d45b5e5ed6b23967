//! How far this process's privilege reaches into other processes, tried on those that run here.

use std::{fs, fs::File, io};

use super::served::open_mapped;

/// Processes that are tried: enough to meet one of another user.
const TRIED: usize = 64;

/// Of how many processes what could be opened. Nothing of them is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Processes that were tried, this one left out.
    pub(crate) tried: usize,
    /// Those whose memory can be read.
    pub(crate) memory: usize,
    /// Those whose mapped files can be opened.
    pub(crate) files: usize,
}

/// Tries it.
pub(crate) fn reach() -> Reach {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // Threads of the kernel and what has ended have no program, and no memory. (A command line is
    // memory, which may be on a file system that does not answer.)
    let has_no_program = |pid: &u32| {
        let link = fs::read_link(format!("/proc/{pid}/exe"));
        link.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let is_user = |pid: &u32| *pid != own && !has_no_program(pid);
    let mut reach = Reach::default();
    for pid in pids.filter(is_user).take(TRIED) {
        reach.tried += 1;
        reach.memory += usize::from(File::open(format!("/proc/{pid}/mem")).is_ok());
        reach.files += usize::from(opens_a_file(pid));
    }
    reach
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

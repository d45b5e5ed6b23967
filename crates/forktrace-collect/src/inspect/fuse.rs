//! Memory that only a program can give: pages of a file whose file system is one (FUSE).
//!
//! Any user can mount such a file system and map its files. Reading a page that is not there yet asks
//! that program, and if it does not answer, the reader cannot even be killed (`request_wait_answer`,
//! `fs/fuse/dev.c`, Linux 6.18). Such pages are taken for unreadable. Servers elsewhere (NFS) may be
//! away too, but whoever waits for them can be killed, and users cannot make them.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _},
    },
};

use nix::sys::stat;

use super::{
    kcmp,
    memory::{self, Origin},
    proc_text,
};
use crate::arch::page_size;

/// Bits of an entry of `pagemap`: the page is in memory, or in swap
/// (`Documentation/admin-guide/mm/pagemap.rst`, Linux 6.18).
const THERE: u64 = 0b11 << 62;

/// How many of the `len` bytes at `address` come before the first that only a program can give.
pub(super) fn before(pid: u32, address: u64, len: usize) -> usize {
    let pagemap = File::open(format!("/proc/{pid}/pagemap")).ok();
    let end = address.saturating_add(len as u64);
    let mut known: Option<(Origin, bool)> = None;
    let size = page_size();
    let pages = (address & !(size - 1)..end).step_by(size as usize);
    for page in pages.filter(|page| !is_there(pagemap.as_ref(), *page)) {
        if known.as_ref().is_none_or(|(origin, _)| !origin.range.contains(&page)) {
            known = memory::origin(pid, page).map(|origin| {
                let served = is_served(pid, &origin);
                (origin, served)
            });
        }
        if matches!(known, Some((_, true))) {
            return usize::try_from(page.saturating_sub(address)).unwrap_or_default();
        }
    }
    len
}

/// Whether a page is in memory or in swap.
pub(super) fn is_there(pagemap: Option<&File>, page: u64) -> bool {
    let mut entry = [0; 8];
    let read = |file: &File| file.read_exact_at(&mut entry, page / page_size() * 8).is_ok();
    pagemap.is_some_and(read) && u64::from_ne_bytes(entry) & THERE != 0
}

fn is_served(pid: u32, origin: &Origin) -> bool {
    // A device of its own, or none at all.
    if origin.inode == 0 || origin.device.0 != 0 {
        return false;
    }
    // It may be mounted where only one of the two sees it.
    let of = |mounts: &str| file_system(pid, &format!("{mounts}/mountinfo"), origin.device);
    match of(&pid.to_string()).or_else(|| of("self")) {
        Some(kind) => kind == "fuse" || kind.starts_with("fuse."),
        // The kernel's own are mounted nowhere. What else is not has been unmounted in use.
        None => !is_the_kernels(&origin.path),
    }
}

/// Paths of memory and objects of the kernel's that are on no mounted file system.
fn is_the_kernels(path: &str) -> bool {
    let starts =
        ["/memfd:", "/SYSV", "/dev/zero", "/anon_hugepage", "anon_inode:", "socket:", "/["];
    starts.iter().any(|start| path.starts_with(start))
}

/// The type of the file system on a device, as `mountinfo` has it (proc_pid_mountinfo(5)): the third
/// field is the device, and after a lone `-` comes the type.
fn file_system(pid: u32, file: &str, device: (u32, u32)) -> Option<String> {
    let wanted = format!("{}:{}", device.0, device.1);
    let kind = |line: &str| {
        let (fields, of_type) = line.split_once(" - ")?;
        let is_it = fields.split(' ').nth(2)? == wanted;
        is_it.then(|| of_type.split(' ').next().unwrap_or_default().to_owned())
    };
    proc_text::find_line(pid, file, kind).ok().flatten()
}

/// Whether what is mapped at an address is a file whose reading could wait for a program.
#[cfg(feature = "python")]
pub(super) fn is_mapped_at(pid: u32, address: u64) -> bool {
    memory::origin(pid, address).is_some_and(|origin| is_served(pid, &origin))
}

/// Opens the file that is mapped at an address, whatever lies at its path by now. One whose reading
/// could wait for a program is not opened.
pub(crate) fn open_mapped(pid: u32, address: u64) -> io::Result<File> {
    let origin = memory::origin(pid, address).filter(|origin| origin.path.starts_with('/'));
    let origin = origin.ok_or_else(|| io::Error::other("no file is mapped there"))?;
    if is_served(pid, &origin) {
        return Err(io::Error::other("its file system is a program"));
    }
    open(pid, &origin)
}

/// The status of the file that a mapping shows, whatever lies at its path by now. `None`: it could not be
/// read, which takes `CAP_CHECKPOINT_RESTORE`, or its reading could wait for a program.
pub(super) fn status_of_mapped(pid: u32, origin: &Origin) -> Option<fs::Metadata> {
    let range = &origin.range;
    let link = format!("/proc/{pid}/map_files/{:x}-{:x}", range.start, range.end);
    (!is_served(pid, origin)).then(|| fs::metadata(link).ok()).flatten()
}

/// Opens what a mapping shows.
fn open(pid: u32, origin: &Origin) -> io::Result<File> {
    let pid = kcmp::shown(pid);
    let range = &origin.range;
    let link = format!("/proc/{pid}/map_files/{:x}-{:x}", range.start, range.end);
    match regular(&link) {
        // That takes CAP_CHECKPOINT_RESTORE. At the path the same file lies mostly.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let file = regular(&format!("/proc/{pid}/root{}", origin.path))?;
            let found = file.metadata()?;
            match (device(&found), found.ino()) == (origin.device, origin.inode) {
                true => Ok(file),
                false => Err(error),
            }
        }
        opened => opened,
    }
}

/// Major and minor number of a file's device.
fn device(file: &fs::Metadata) -> (u32, u32) {
    let number = |number| u32::try_from(number).unwrap_or(u32::MAX);
    (number(stat::major(file.dev())), number(stat::minor(file.dev())))
}

/// Opens a regular file and nothing else, which to open may do something or wait for somebody.
fn regular(path: &str) -> io::Result<File> {
    let open = |path: &str, flags| fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let place = open(path, libc::O_PATH)?;
    if !place.metadata()?.is_file() {
        return Err(io::Error::other("what is mapped there is no file"));
    }
    open(&format!("/proc/self/fd/{}", place.as_raw_fd()), libc::O_NONBLOCK | libc::O_NOCTTY)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_memory_of_this_process_is_its_own() {
        let me = std::process::id();
        let boxed = vec![7_u8; 3 * page_size() as usize];
        assert_eq!(before(me, boxed.as_ptr().addr() as u64, boxed.len()), boxed.len());
        let code = before as *const () as usize as u64;
        assert_eq!(before(me, code, 100), 100);
        assert_eq!(before(u32::MAX, 8, 100), 100);
    }

    #[test]
    fn the_file_that_is_mapped_is_opened() {
        let code = before as *const () as usize as u64;
        let file = open_mapped(std::process::id(), code).unwrap();
        let exe = fs::metadata(std::env::current_exe().unwrap()).unwrap();
        let found = file.metadata().unwrap();
        assert_eq!((found.dev(), found.ino()), (exe.dev(), exe.ino()));
        let local = 0_u64;
        assert!(open_mapped(std::process::id(), std::ptr::from_ref(&local).addr() as u64).is_err());
    }

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, stat::Mode::S_IRWXU).unwrap();
        for path in [pipe.to_str().unwrap(), "/dev/null", "/"] {
            assert!(regular(path).is_err(), "{path}");
        }
        assert!(regular("/proc/self/exe").is_ok());
    }

    #[test]
    fn what_was_unmounted_in_use_is_served_and_what_the_kernel_has_is_not() {
        let origin =
            |device, path: &str| Origin { range: 0..1, device, inode: 9, path: path.into() };
        let me = std::process::id();
        assert!(is_served(me, &origin((0, 0xfffff), "/mnt/libc.so.6")));
        assert!(!is_served(me, &origin((0, 0xfffff), "/memfd:x (deleted)")));
        assert!(!is_served(me, &origin((259, 1), "/mnt/libc.so.6")));
        let shared = fs::metadata("/proc").unwrap();
        assert!(!is_served(me, &origin(device(&shared), "/proc/x")));
    }
}

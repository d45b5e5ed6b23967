//! A living process's memory and mappings.
//!
//! Memory is read through `/proc/<pid>/mem`, not `process_vm_readv`: that one pins the pages, and
//! pinning for reading a page that is shared copy-on-write makes the kernel copy it first
//! (`gup_must_unshare`, `mm/internal.h`, since Linux 5.19; seen on 6.18). The copy costs the traced
//! process memory, and hides its next write to the page from whoever counts write faults.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt};

use super::{Error, Result, fuse, kcmp, proc_text};
use forktrace_model::event::Mapping;

/// Most bytes that one call of [`read`] returns.
pub const MAX_READ: usize = 1 << 20;

/// Most mappings that [`mappings`] returns: twice what a process has by default
/// (`vm.max_map_count`).
pub const MAX_MAPPINGS: usize = 1 << 17;

/// The `len` bytes at `address`, or as many of them as there are before the first that cannot be
/// read; never more than [`MAX_READ`].
pub fn read(pid: u32, address: u64, len: usize) -> Result<Vec<u8>> {
    match read_shown(pid, address, len) {
        Err(Error::Gone { .. }) if kcmp::shown(pid) != pid => {
            read_shown(kcmp::shown(pid), address, len)
        }
        read => read,
    }
}

/// The word of eight bytes at `address`; `None`: it cannot be read.
pub(super) fn word(pid: u32, address: u64) -> Option<u64> {
    Some(u64::from_ne_bytes(read(pid, address, 8).ok()?.try_into().ok()?))
}

/// The same of what `/proc` shows by this very number.
fn read_shown(pid: u32, address: u64, len: usize) -> Result<Vec<u8>> {
    let sort = |error| Error::sort(pid, "memory", error);
    let file = File::open(format!("/proc/{pid}/mem")).map_err(sort)?;
    let wanted = len.min(MAX_READ);
    let len = fuse::before(pid, address, wanted);
    if len == 0 && wanted > 0 {
        return Err(Error::NoMemory { pid, address });
    }
    let mut bytes = vec![0; len];
    let mut have = 0;
    while let Some(rest) = bytes.get_mut(have..).filter(|rest| !rest.is_empty()) {
        let Some(at) = u64::try_from(have).ok().and_then(|have| address.checked_add(have)) else {
            break;
        };
        match file.read_at(rest, at) {
            Ok(0) => break,
            Ok(read) => have = have.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if have > 0 => break,
            // Not mapped, or an address that no process has.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL)) => {
                return Err(Error::NoMemory { pid, address });
            }
            Err(error) => return Err(sort(error)),
        }
    }
    // The file of a process that has given up its memory is empty.
    if have == 0 && len > 0 {
        return Err(Error::Gone { pid });
    }
    bytes.truncate(have);
    Ok(bytes)
}

/// Reads whole pages of one process, many of them.
#[derive(Debug)]
pub struct Reader {
    memory: File,
    pagemap: File,
}

impl Reader {
    /// Opens its memory.
    pub fn open(pid: u32) -> Result<Self> {
        let shown = kcmp::shown(pid);
        let open = |what, name| {
            File::open(format!("/proc/{shown}/{name}"))
                .map_err(|error| Error::sort(pid, what, error))
        };
        Ok(Reader { memory: open("memory", "mem")?, pagemap: open("page map", "pagemap")? })
    }

    /// Fills `page` with the page that begins at `start`; false: it is not in memory. A page that is not
    /// there yet is not read: a program may have to give it.
    pub fn fill(&self, start: u64, page: &mut [u8]) -> bool {
        fuse::is_there(Some(&self.pagemap), start) && self.memory.read_exact_at(page, start).is_ok()
    }
}

/// What `pick` finds first among the lines of a file of a process that tells of its mappings. Every
/// process has some, and a first thread that has ended none.
pub(super) fn find_line<T>(
    pid: u32,
    file: &str,
    mut pick: impl FnMut(&str) -> Option<T>,
) -> Result<Option<T>> {
    let mut empty = true;
    let found = proc_text::find_line(pid, &format!("{pid}/{file}"), |line| {
        empty = false;
        pick(line)
    });
    let shown = match empty {
        true => kcmp::shown(pid),
        false => pid,
    };
    match shown == pid {
        true => found,
        false => proc_text::find_line(pid, &format!("{shown}/{file}"), pick),
    }
}

/// The mapping that holds `address`, if there is one and the process's mappings may be read.
pub fn mapping(pid: u32, address: u64) -> Option<Mapping> {
    find_line(pid, "maps", |line| {
        let mapping = parse(line)?;
        (mapping.start..mapping.end).contains(&address).then_some(mapping)
    })
    .ok()
    .flatten()
}

/// What a mapping is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// Its addresses.
    pub(super) range: Range<u64>,
    /// The file's device, major and minor number; zeroes without a file.
    pub(super) device: (u32, u32),
    /// The file's number; zero without a file.
    pub(super) inode: u64,
    /// The file's path as the kernel tells it.
    pub(super) path: String,
}

/// What is mapped at an address.
pub(super) fn origin(pid: u32, address: u64) -> Option<Origin> {
    find_line(pid, "maps", |line| {
        let mapping = parse(line)?;
        let range = mapping.start..mapping.end;
        let mut fields = line.split(' ').skip(3);
        let (major, minor) = fields.next()?.split_once(':')?;
        let number = |text| u32::from_str_radix(text, 16).ok();
        let device = (number(major)?, number(minor)?);
        let inode = fields.next()?.parse().ok()?;
        let origin = Origin { range, device, inode, path: mapping.path };
        origin.range.contains(&address).then_some(origin)
    })
    .ok()
    .flatten()
}

/// All mappings of a process, by address; at most [`MAX_MAPPINGS`].
pub fn mappings(pid: u32) -> Result<Vec<Mapping>> {
    let mut mappings = Vec::new();
    find_line(pid, "maps", |line| {
        mappings.extend(parse(line));
        (mappings.len() >= MAX_MAPPINGS).then_some(())
    })?;
    Ok(mappings)
}

/// The kernel's flags of the mapping that holds `address`, two letters each, with blanks between
/// (`VmFlags` in `smaps`; `Documentation/filesystems/proc.rst`, Linux 6.18).
pub fn flags(pid: u32, address: u64) -> Option<String> {
    let mut inside = false;
    find_line(pid, "smaps", |line| {
        if let Some(mapping) = parse(line) {
            inside = (mapping.start..mapping.end).contains(&address);
        }
        let flags = line.strip_prefix("VmFlags:").filter(|_| inside)?;
        Some(flags.trim().to_owned())
    })
    .ok()
    .flatten()
}

/// Whether any mapping is `wanted`.
pub fn any_mapping(pid: u32, mut wanted: impl FnMut(&Mapping) -> bool) -> Result<bool> {
    let found =
        find_line(pid, "maps", |line| parse(line).filter(|mapping| wanted(mapping)).map(|_| ()))?;
    Ok(found.is_some())
}

/// One line: `start-end perms offset dev inode`, blanks, path.
pub(super) fn parse(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let perms = fields.next()?;
    let offset = fields.next()?;
    let (_device, _inode) = (fields.next()?, fields.next()?);
    // The kernel pads with blanks before the path. A path that begins with a blank would look the
    // same, but paths begin with a slash.
    let path = fields.next().unwrap_or_default().trim_start_matches(' ');
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        perms: perms.to_owned(),
        shared: perms.ends_with('s'),
        path: path.to_owned(),
        offset: u64::from_str_radix(offset, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn me() -> u32 {
        std::process::id()
    }

    #[test]
    fn own_memory_is_read() {
        let words = Box::new([0x1122_3344_5566_7788_u64, 7]);
        let address = std::ptr::from_ref(words.as_ref()).addr() as u64;
        let bytes = read(me(), address, 16).unwrap();
        assert_eq!(bytes[..8], words[0].to_le_bytes());
        assert_eq!(bytes[8..], words[1].to_le_bytes());
    }

    #[test]
    fn unmapped_and_impossible_addresses_are_errors() {
        for address in [0, 8, u64::MAX, u64::MAX - 7, 0xffff_8000_0000_0000] {
            assert!(read(me(), address, 64).is_err(), "{address:#x}");
            assert!(address > 8 || mapping(me(), address).is_none());
        }
        assert!(matches!(read(0, 8, 8), Err(Error::Gone { .. })));
        assert!(matches!(read(u32::MAX, 8, 8), Err(Error::Gone { .. })));
        // Larger than PID_MAX_LIMIT: no such process.
        assert!(matches!(read(1 << 30, 8, 8), Err(Error::Gone { .. })));
        assert_eq!(mapping(u32::MAX, 8), None);
    }

    #[test]
    fn a_read_stops_where_the_mapping_ends() {
        let stack_word = 0_u64;
        let address = std::ptr::from_ref(&stack_word).addr() as u64;
        let mapping = mapping(me(), address).unwrap();
        assert!(mapping.perms.starts_with("rw") && !mapping.shared);
        let bytes = read(me(), mapping.end - 16, 8192).unwrap();
        assert!(bytes.len() >= 16);
        let most = read(me(), mapping.start, usize::MAX);
        assert!(most.is_err() || most.unwrap().len() <= MAX_READ);
    }

    #[test]
    fn the_program_is_among_the_mappings() {
        let exe = std::env::current_exe().unwrap();
        assert!(any_mapping(me(), |mapping| mapping.path == exe.to_str().unwrap()).unwrap());
        assert!(!any_mapping(me(), |mapping| mapping.path == "/no/such/file").unwrap());
        assert!(any_mapping(u32::MAX, |_| true).is_err());
    }

    #[test]
    fn lines_of_maps() {
        let line = "7f0c8a200000-7f0c8a228000 r--s 00001000 fe:00 1234                       \
                    /opt/a b/SYSV (deleted)";
        let mapping = parse(line).unwrap();
        assert_eq!((mapping.start, mapping.end), (0x7f0c_8a20_0000, 0x7f0c_8a22_8000));
        assert_eq!((mapping.perms.as_str(), mapping.shared), ("r--s", true));
        assert_eq!((mapping.path.as_str(), mapping.offset), ("/opt/a b/SYSV (deleted)", 0x1000));
        assert!(!mapping.is_heap());

        let anonymous = parse("55d0e000-55d0f000 rw-p 00000000 00:00 0 ").unwrap();
        assert_eq!(anonymous.path, "");
        assert!(anonymous.is_heap());
        let heap = "55d0e000-55d0f000 rw-p 00000000 00:00 0                          [heap]";
        assert_eq!(parse(heap).unwrap().path, "[heap]");

        for broken in
            ["", "-", "1-2", "1-2 rw-p", "x-2 rw-p 0 0 0", "1-2 rw-p 0 0", "1-2 rw-p z 0 0"]
        {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }
}

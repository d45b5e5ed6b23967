//! A process's memory and its mappings.

use std::{fs::File, os::unix::fs::FileExt as _};

use procfs::process::{MMPermissions, MMapPath, MemoryMap};

use super::processes::process;
use crate::event::Mapping;

/// Reads memory through `/proc/<pid>/mem`, which needs the process neither stopped nor willing.
/// Gives fewer bytes than asked for where the memory ends, and none where it does not begin.
pub(super) fn read(pid: u32, address: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let read = File::open(format!("/proc/{pid}/mem"))
        .and_then(|memory| memory.read_at(&mut bytes, address))
        .unwrap_or(0);
    bytes.truncate(read);
    bytes
}

/// The mapping that holds `address`.
pub(super) fn mapping(pid: u32, address: u64) -> Option<Mapping> {
    let maps = process(pid)?.maps().ok()?;
    maps.into_iter().find(|map| (map.address.0..map.address.1).contains(&address)).map(describe)
}

fn describe(map: MemoryMap) -> Mapping {
    let path = match &map.pathname {
        MMapPath::Path(path) => path.to_string_lossy().into_owned(),
        MMapPath::Heap => "[heap]".into(),
        MMapPath::Stack => "[stack]".into(),
        MMapPath::TStack(tid) => format!("[stack:{tid}]"),
        MMapPath::Vdso => "[vdso]".into(),
        MMapPath::Vvar => "[vvar]".into(),
        MMapPath::Vsyscall => "[vsyscall]".into(),
        MMapPath::Rollup => "[rollup]".into(),
        MMapPath::Vsys(key) => format!("/SYSV{key:08x}"),
        MMapPath::Anonymous => String::new(),
        MMapPath::Other(name) => format!("[{name}]"),
    };
    let letter = |permission, letter| match map.perms.contains(permission) {
        true => letter,
        false => '-',
    };
    let shared = map.perms.contains(MMPermissions::SHARED);
    let perms = [
        letter(MMPermissions::READ, 'r'),
        letter(MMPermissions::WRITE, 'w'),
        letter(MMPermissions::EXECUTE, 'x'),
        if shared { 's' } else { 'p' },
    ];
    Mapping {
        start: map.address.0,
        end: map.address.1,
        perms: perms.iter().collect(),
        shared,
        path,
        offset: map.offset,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn own_memory_is_read_and_its_mapping_is_found() {
        let own = std::process::id();
        let boxed = Box::new([0xabu8; 64]);
        let address = boxed.as_ptr() as u64;
        assert_eq!(read(own, address, 64), boxed.as_slice());
        let mapping = mapping(own, address).unwrap();
        assert!(!mapping.shared);
        assert_eq!(mapping.perms, "rw-p");
        assert!(mapping.start <= address && address < mapping.end);
    }

    #[test]
    fn what_cannot_be_read_is_empty() {
        let own = std::process::id();
        assert!(read(own, 0, 8).is_empty());
        assert!(read(own, u64::MAX - 4, 8).is_empty());
        assert!(read(u32::MAX, 4096, 8).is_empty());
        assert_eq!(mapping(own, 0), None);
        assert_eq!(mapping(u32::MAX, 4096), None);
    }
}

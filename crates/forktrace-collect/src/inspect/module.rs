//! Which file's static data an address is in, and which C library a process uses.
//!
//! The variables of a program or library without an initial value lie in anonymous memory directly
//! behind its last page of the file. How far that reaches is in the ELF program headers, which the
//! process has in its memory: they are read there, so that neither the file nor its mount namespace
//! is needed. Layouts: `Elf64_Ehdr` and `Elf64_Phdr`, elf(5).

use super::memory;
use crate::arch::page_size;
use forktrace_model::event::{Libc, Mapping, Module};

const HEADER: usize = 64;
/// Program headers believed; programs have about a dozen.
const MOST_HEADERS: u16 = 64;
const MAGIC: [u8; 4] = *b"\x7fELF";
/// `ELFCLASS64` and `ELFDATA2LSB`.
const CLASS_AND_ORDER: [u8; 2] = [2, 1];
/// A part that is loaded, and the one that tells the loader about the file.
pub(super) const PT_LOAD: u32 = 1;
pub(super) const PT_DYNAMIC: u32 = 2;

/// What the mappings of a process say about an address.
#[derive(Debug, Default, PartialEq)]
pub struct Place {
    /// The file whose static data the address is in.
    pub module: Option<Module>,
    /// The C library of the process.
    pub libc: Option<Libc>,
}

/// Looks the address up. What cannot be read is not known.
pub fn place(pid: u32, address: u64) -> Place {
    let mut places = Places::default();
    let found = memory::any_mapping(pid, |mapping| {
        places.take(mapping, address);
        false
    });
    let module = places.candidate.and_then(|(path, base)| module(pid, path, base, address));
    Place { module, libc: found.ok().and(places.libc) }
}

/// What is kept while the mappings go by, in the order of addresses.
#[derive(Default)]
pub(super) struct Places {
    /// The last file mapping from its beginning: path and first address.
    base: Option<(String, u64)>,
    /// Path and end of the mapping before, if it was a file's.
    before: Option<(String, u64)>,
    candidate: Option<(String, u64)>,
    libc: Option<Libc>,
}

impl Places {
    pub(super) fn take(&mut self, mapping: &Mapping, address: u64) {
        let is_file = mapping.path.starts_with('/');
        if is_file {
            self.libc = self.libc.or_else(|| libc(&mapping.path));
            if mapping.offset == 0
                && self.base.as_ref().is_none_or(|(path, _)| *path != mapping.path)
            {
                self.base = Some((mapping.path.clone(), mapping.start));
            }
        }
        let behind = self.before.as_ref().filter(|(_, end)| *end == mapping.start);
        let path = match is_file {
            true => Some(&mapping.path),
            false if mapping.path.is_empty() || mapping.path == "[heap]" => {
                behind.map(|(path, _)| path)
            }
            false => None,
        };
        if (mapping.start..mapping.end).contains(&address)
            && !mapping.shared
            && mapping.perms.starts_with("rw")
        {
            self.candidate = self.base.clone().filter(|(base, _)| Some(base) == path);
        }
        self.before = is_file.then(|| (mapping.path.clone(), mapping.end));
    }
}

/// The C library of this file, if it is one: `libc.so` without a version is musl's.
fn libc(path: &str) -> Option<Libc> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let musl = name == "libc.so" || name.starts_with("ld-musl-") || name.starts_with("libc.musl-");
    let glibc = name.starts_with("libc.so.6") || name.starts_with("libc-2.");
    match (musl, glibc) {
        (true, _) => Some(Libc::Musl),
        (_, true) => Some(Libc::Glibc),
        _ => None,
    }
}

/// The place inside of the file that is loaded from `base` on, if `address` is one.
fn module(pid: u32, path: String, base: u64, address: u64) -> Option<Module> {
    let page = page_size();
    let loads = loads(&memory::read(pid, base, page as usize).ok()?)?;
    let first = loads.first()?;
    let bias = base.checked_sub(first.start & !(page - 1))?;
    let own = address.checked_sub(bias)?;
    let inside = loads.iter().any(|load| (load.start..load.end).contains(&own));
    inside.then_some(Module { path, address: own })
}

/// What is loaded, in the file's own addresses.
#[derive(Debug, PartialEq)]
pub(super) struct Load {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// What is loaded, as the headers at the beginning of a file tell.
pub(super) fn loads(bytes: &[u8]) -> Option<Vec<Load>> {
    let loaded = segments(bytes)?.into_iter().filter(|segment| segment.kind == PT_LOAD);
    let load = |Segment { start, size, .. }| Some(Load { start, end: start.checked_add(size)? });
    loaded.map(load).collect()
}

/// A segment: its type, its first address as the file has it, and its size in memory, bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Segment {
    pub(super) kind: u32,
    pub(super) start: u64,
    pub(super) size: u64,
}

/// The segments that the headers at the beginning of a file tell of.
pub(super) fn segments(bytes: &[u8]) -> Option<Vec<Segment>> {
    let header = bytes.get(..HEADER)?;
    if !header.starts_with(&MAGIC) || header.get(4..6)? != CLASS_AND_ORDER {
        return None;
    }
    let short = |at: usize| Some(u16::from_le_bytes(header.get(at..at + 2)?.try_into().ok()?));
    let start = usize::try_from(long(header, 32)?).ok()?;
    let (size, count) = (usize::from(short(54)?), short(56)?.min(MOST_HEADERS));
    let mut segments = Vec::new();
    for index in 0..usize::from(count) {
        let at = start.checked_add(index.checked_mul(size)?)?;
        let entry = bytes.get(at..at.checked_add(56)?)?;
        let kind = u32::from_le_bytes(entry.get(..4)?.try_into().ok()?);
        segments.push(Segment { kind, start: long(entry, 16)?, size: long(entry, 40)? });
    }
    Some(segments)
}

/// The word of eight bytes at an offset.
pub(super) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    static WITH_VALUE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(7);
    static WITHOUT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

    #[test]
    fn own_static_data_is_the_programs() {
        let exe = std::env::current_exe().unwrap();
        let addresses =
            [std::ptr::from_ref(&WITH_VALUE).addr(), std::ptr::from_ref(&WITHOUT).addr()];
        for address in addresses {
            let place = place(std::process::id(), address as u64);
            assert_eq!(place.module.unwrap().path, exe.to_str().unwrap());
            assert_eq!(place.libc, Some(Libc::Glibc));
        }
    }

    #[test]
    fn heap_and_stack_are_no_files() {
        let boxed = Box::new(7_u64);
        let local = 7_u64;
        for address in
            [std::ptr::from_ref(boxed.as_ref()).addr(), std::ptr::from_ref(&local).addr()]
        {
            assert_eq!(place(std::process::id(), address as u64).module, None);
        }
        assert_eq!(place(std::process::id(), 8).module, None);
        assert_eq!(place(u32::MAX, 8), Place::default());
    }

    #[test]
    fn libraries_by_name() {
        let libc = |name: &str| libc(&format!("/usr/lib/{name}"));
        for name in ["libc.so.6", "libc-2.31.so", "libc.so.6 (deleted)"] {
            assert_eq!(libc(name), Some(Libc::Glibc), "{name}");
        }
        for name in ["libc.so", "ld-musl-x86_64.so.1", "libc.musl-x86_64.so.1"] {
            assert_eq!(libc(name), Some(Libc::Musl), "{name}");
        }
        for name in ["libcrypt.so.1", "libc++.so.1", "libc.so.0", ""] {
            assert_eq!(libc(name), None, "{name}");
        }
    }

    #[test]
    fn headers_that_are_none_or_cut_are_refused() {
        assert_eq!(loads(&[]), None);
        assert_eq!(loads(&[0; 4096]), None);
        let mut header = [0xff_u8; 4096];
        header[..4].copy_from_slice(&MAGIC);
        header[4..6].copy_from_slice(&CLASS_AND_ORDER);
        assert_eq!(loads(&header), None, "headers beyond the end");
        header[32..40].copy_from_slice(&64_u64.to_le_bytes());
        header[54..56].copy_from_slice(&0_u16.to_le_bytes());
        assert_eq!(loads(&header), Some(Vec::new()), "none of them is loaded");
    }
}

//! The exported function that an address of a process lies in.

use object::{
    Endianness, ReadCache, ReadRef,
    elf::{FileHeader64, STT_FUNC},
    read::elf::{FileHeader as _, ProgramHeader as _, Sym as _},
};

use super::{fuse::open_mapped, memory};

/// Longest name of a function that is kept.
const MAX_NAME: usize = 128;
/// Largest file that is read, bytes: what is read of it is kept while it is read.
const MAX_FILE: u64 = 256 << 20;

/// The file that holds the code at `ip`, and the exported function that the code belongs to, if it
/// belongs to one. `None`: there is no file, or it cannot be read.
///
/// The mapping is the one of now: of use where code stays where it is, as in a process that has not
/// exec'ed since.
pub fn function_at(pid: u32, ip: u64) -> Option<(String, Option<String>)> {
    let mapping = memory::mapping(pid, ip).filter(|mapping| mapping.perms.contains('x'))?;
    let file = open_mapped(pid, ip).ok()?;
    if file.metadata().ok()?.len() > MAX_FILE {
        return None;
    }
    let offset = ip.checked_sub(mapping.start)?.checked_add(mapping.offset)?;
    let cache = ReadCache::new(file);
    let name = find(&cache, offset)?;
    Some((mapping.path, name))
}

/// The exported function with the byte at `offset` of the file. `None`: the file has no table of
/// exported symbols.
pub(super) fn find<'data, R: ReadRef<'data>>(data: R, offset: u64) -> Option<Option<String>> {
    let header = FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let address = address(header, endian, data, offset)?;
    let sections = header.sections(endian, data).ok()?;
    let symbols = sections.symbols(endian, data, object::elf::SHT_DYNSYM).ok()?;
    if symbols.is_empty() {
        return None;
    }
    let function = symbols.iter().find(|symbol| {
        let start = symbol.st_value(endian);
        symbol.st_type() == STT_FUNC
            && start != 0
            && (start..start.saturating_add(symbol.st_size(endian))).contains(&address)
    });
    let name = function.and_then(|symbol| symbol.name(endian, symbols.strings()).ok());
    Some(name.map(|name| String::from_utf8_lossy(name).chars().take(MAX_NAME).collect()))
}

/// The address, as linked, of a byte of the file.
fn address<'data, R: ReadRef<'data>>(
    header: &FileHeader64<Endianness>,
    endian: Endianness,
    data: R,
    offset: u64,
) -> Option<u64> {
    header.program_headers(endian, data).ok()?.iter().find_map(|segment| {
        let (start, size) = segment.file_range(endian);
        let inside = offset.checked_sub(start).filter(|inside| *inside < size)?;
        let loaded = segment.p_type(endian) == object::elf::PT_LOAD;
        loaded.then(|| segment.p_vaddr(endian).wrapping_add(inside))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_function_of_libc_is_named_and_the_stack_is_not() {
        let pid = std::process::id();
        let at = libc::sem_post as *const () as usize as u64;
        // Where the address is that of a stub of this program, no exported function is there.
        let (file, name) = function_at(pid, at).unwrap();
        assert!(file.starts_with('/'));
        assert!(name.is_none_or(|name| name == "sem_post"), "in {file}");
        let local = 0u64;
        assert_eq!(function_at(pid, (&raw const local).addr() as u64), None);
        assert_eq!(function_at(pid, 0), None);
        assert_eq!(function_at(u32::MAX, at), None);
    }
}

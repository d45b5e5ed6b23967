//! Code of the C library that says how a process ended and what it wrote, by the addresses of instructions.
//!
//! `exit()` of glibc calls `__run_exit_handlers` first (`stdlib/exit.c`), which nothing else calls but
//! `quick_exit` and `abort` do not; its loader runs `_dl_fini` then (`elf/dl-fini.c`), and each program and
//! library its functions of `.fini_array`. `_IO_do_write` calls `new_do_write` first (`libio/fileops.c`), which
//! writes to the stream after `write(2)` has taken what was in its buffer. All glibc 2.36.

use std::ops::Range;

use forktrace_model::buffers::{Unwritten, Wrote};
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _, ReadCache,
    ReadRef, elf::FileHeader64, read::elf::ElfFile,
};

use super::{
    fuse::open_mapped,
    memory,
    module::{PT_DYNAMIC, PT_LOAD, long, segments},
};
use crate::arch::{self, page_size};
use forktrace_model::event::Mapping;

/// Largest file that is read, bytes.
const MAX_FILE: u64 = 64 << 20;
/// Bytes of a function that are searched for a call, and the size of one whose end is not known.
const CODE: usize = 64;
const ENTRY: usize = 128;
const SIZE: u64 = 64;
/// Bytes of a loaded file's head, and of what its dynamic section may be, that are read.
const HEAD: usize = 4096;
/// Most functions of one `.fini_array` that are believed, and files that are looked at.
const MOST_FINI: usize = 64;
const MOST_FILES: usize = 256;
/// Where the C library is on hosts, for processes that ended before they could be asked.
const USUAL: &[&str] =
    &["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so.6"];

/// Functions that take the lock of a stream, which lies behind it, to write what is in its buffer (`fflush` and
/// `fclose`, `libio/iofflush.c` and `libio/iofclose.c`, glibc 2.36), and those that throw it away.
const FLUSHES: &[&str] = &["fflush", "fclose", "_IO_un_link"];
const PURGES: &[&str] = &["__fpurge", "fpurge"];

type Elf<'a, R> = ElfFile<'a, FileHeader64<Endianness>, R>;

/// Where such code is in the memory of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    flush: Vec<Range<u64>>,
    purge: Vec<Range<u64>>,
    exit: Vec<Range<u64>>,
}

impl Code {
    /// That of process `pid`.
    pub fn of(pid: u32) -> Self {
        let mut code = Code::default();
        let mut last = None;
        let Ok(mappings) = memory::mappings(pid) else { return code };
        let first = |mapping: &&Mapping| {
            let is_file = mapping.path.starts_with('/') && mapping.offset == 0;
            let is_new = last.as_ref() != Some(&mapping.path);
            if is_file {
                last = Some(mapping.path.clone());
            }
            is_file && is_new
        };
        for mapping in mappings.iter().filter(first).take(MOST_FILES) {
            code.add_fini(pid, mapping.start);
            let name = mapping.path.rsplit('/').next().unwrap_or_default();
            let is_library = name.contains(".so") && !name.starts_with("libc");
            if !is_library || name.starts_with("ld-linux") {
                code.add_file(pid, mapping);
            }
        }
        code
    }

    /// The same of a process that has gone, by the table of functions that one of its streams has. It must
    /// have run a C library of this host.
    pub fn by_class(class: u64) -> Option<Self> {
        USUAL.iter().find_map(|path| {
            let file = std::fs::File::open(path).ok()?;
            (file.metadata().ok()?.len() <= MAX_FILE).then_some(())?;
            let cache = ReadCache::new(file);
            let elf: Elf<'_, _> = ElfFile::parse(&cache).ok()?;
            let table = Symbols::of(&elf).get("_IO_file_jumps")?;
            let bias = class.checked_sub(table).filter(|bias| bias % page_size() == 0)?;
            let mut code = Code::default();
            code.add(&elf, bias);
            Some(code)
        })
    }

    fn add_file(&mut self, pid: u32, mapping: &Mapping) {
        let Ok(file) = open_mapped(pid, mapping.start) else { return };
        if file.metadata().map_or(u64::MAX, |about| about.len()) > MAX_FILE {
            return;
        }
        let cache = ReadCache::new(file);
        let Ok(elf) = Elf::parse(&cache) else { return };
        let lowest = elf.segments().map(|segment| segment.address()).min().unwrap_or(0);
        let lowest = lowest & !(page_size() - 1);
        self.add(&elf, mapping.start.wrapping_sub(lowest));
    }

    fn add<'a, R: ReadRef<'a>>(&mut self, elf: &Elf<'a, R>, bias: u64) {
        let symbols = Symbols::of(elf);
        let mut ends = None;
        let mut add = |to: &mut Vec<Range<u64>>, start: u64| {
            let ends = ends.get_or_insert_with(|| Ends::of(elf));
            let end = ends.after(start).unwrap_or(start.saturating_add(SIZE));
            to.push(start.wrapping_add(bias)..end.wrapping_add(bias));
        };
        let called = |name: &str| {
            let start = symbols.get(name)?;
            arch::first_call(&code(elf, start, CODE)?, start)
        };
        if let Some(start) = called("_IO_do_write") {
            add(&mut self.flush, start);
            if let Some(start) = called("exit") {
                add(&mut self.exit, start);
            }
            for start in FLUSHES.iter().filter_map(|name| symbols.get(name)) {
                add(&mut self.flush, start);
            }
            for start in PURGES.iter().filter_map(|name| symbols.get(name)) {
                add(&mut self.purge, start);
            }
        }
        let fini = || arch::end_of_program(&code(elf, elf.entry(), ENTRY)?, elf.entry());
        if let Some(start) = symbols.get("_rtld_global").and_then(|_| fini()) {
            add(&mut self.exit, start);
        }
    }

    /// Adds the functions that a program or library, loaded from `base` on, runs at its end.
    fn add_fini(&mut self, pid: u32, base: u64) {
        let functions = fini_array(pid, base).unwrap_or_default();
        self.exit.extend(functions.into_iter().map(|start| start..start.saturating_add(SIZE)));
    }

    /// What the function with the instruction at `ip` does to streams.
    pub fn wrote(&self, ip: u64, buffer: &Unwritten) -> Wrote {
        let is_in = |ranges: &[Range<u64>]| ranges.iter().any(|range| range.contains(&ip));
        // The function of musl that writes a stream is told by the stream itself.
        let own = buffer.writer..buffer.writer.saturating_add(4 * SIZE);
        match is_in(&self.flush) || buffer.writer != 0 && own.contains(&ip) {
            true => Wrote::Flush,
            false if is_in(&self.purge) => Wrote::Purge,
            false => Wrote::Other,
        }
    }

    /// Whether the instruction at `ip` runs only when a program ends by `exit()`.
    pub fn is_exit(&self, ip: u64) -> bool {
        self.exit.iter().any(|range| range.contains(&ip))
    }
}

/// Addresses of the symbols that matter here.
struct Symbols(Vec<(&'static str, u64)>);

impl Symbols {
    const NAMES: &[&str] = &["_IO_do_write", "exit", "_rtld_global", "_IO_file_jumps"];

    fn of<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>) -> Self {
        let wanted = || Self::NAMES.iter().chain(FLUSHES).chain(PURGES);
        let own = |symbols: object::read::elf::ElfSymbolIterator<'a, '_, FileHeader64<_>, R>| {
            let named = symbols.filter_map(|symbol| {
                let (name, address) = (symbol.name_bytes().ok()?, symbol.address());
                let known = wanted().find(|known| known.as_bytes() == name)?;
                (address != 0).then_some((*known, address))
            });
            Symbols(named.collect())
        };
        // A program that has the C library in itself has them in the other table, if at all.
        match elf.dynamic_symbols().next() {
            Some(_) => own(elf.dynamic_symbols()),
            None => own(elf.symbols()),
        }
    }

    fn get(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, address)| *address)
    }
}

/// Bytes of the code at an address of the file's own.
fn code<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>, address: u64, len: usize) -> Option<Vec<u8>> {
    elf.segments().find_map(|segment| {
        let at = usize::try_from(address.checked_sub(segment.address())?).ok()?;
        let bytes = segment.data().ok()?.get(at..)?;
        Some(bytes[..bytes.len().min(len)].to_vec())
    })
}

/// Where functions begin, in ascending order: by the table that unwinding uses.
struct Ends(Vec<u64>);

impl Ends {
    /// `.eh_frame_hdr` with its usual encodings ("Linux Standard Base Core Specification", 10.6.2): four bytes
    /// that say so, an address, the number of entries, and for each its function and its description, relative to
    /// the section.
    fn of<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>) -> Self {
        let starts = || {
            let section = elf.section_by_name(".eh_frame_hdr")?;
            let (bytes, base) = (section.data().ok()?, section.address());
            (bytes.get(..4)? == [1, 0x1b, 0x03, 0x3b]).then_some(())?;
            let entries = bytes.get(12..)?.chunks_exact(8);
            let start = |entry: &[u8]| {
                let offset = i32::from_le_bytes(entry.get(..4)?.try_into().ok()?);
                base.checked_add_signed(offset.into())
            };
            Some(entries.filter_map(start).collect::<Vec<u64>>())
        };
        Ends(starts().unwrap_or_default())
    }

    fn after(&self, start: u64) -> Option<u64> {
        let at = self.0.binary_search(&start).ok()?;
        self.0.get(at + 1).copied()
    }
}

/// The functions in the `.fini_array` of what is loaded from `base` on, as they are in the memory of the
/// process: `DT_FINI_ARRAY` and `DT_FINI_ARRAYSZ` of its dynamic section, elf(5).
fn fini_array(pid: u32, base: u64) -> Option<Vec<u64>> {
    const FINI_ARRAY: u64 = 26;
    const FINI_ARRAYSZ: u64 = 28;
    let segments = segments(&memory::read(pid, base, HEAD).ok()?)?;
    let of = |kind: u32| segments.iter().filter(move |segment| segment.kind == kind);
    let lowest = of(PT_LOAD).map(|segment| segment.start).min()?;
    let bias = base.wrapping_sub(lowest & !(page_size() - 1));
    let dynamic = of(PT_DYNAMIC).next()?;
    let len = usize::try_from(dynamic.size).ok()?.min(HEAD);
    let dynamic = memory::read(pid, dynamic.start.wrapping_add(bias), len).ok()?;
    let value = |wanted: u64| {
        let mut pairs = dynamic.chunks_exact(16);
        pairs.find_map(|pair| (long(pair, 0)? == wanted).then(|| long(pair, 8)).flatten())
    };
    let count = usize::try_from(value(FINI_ARRAYSZ)? / 8).ok()?.min(MOST_FINI);
    let array = memory::read(pid, value(FINI_ARRAY)?.wrapping_add(bias), count * 8).ok()?;
    Some(
        array
            .chunks_exact(8)
            .filter_map(|word| long(word, 0))
            .filter(|start| *start != 0)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_code_that_ends_this_process_is_found() {
        let code = Code::of(std::process::id());
        assert!(!code.exit.is_empty());
        if cfg!(target_env = "gnu") {
            assert!(!code.flush.is_empty() && !code.purge.is_empty(), "{code:?}");
        }
        let here = libc::write as *const () as usize as u64;
        assert!(!code.is_exit(here), "write(2) is called all the time");
    }

    #[test]
    fn a_process_that_has_gone_has_none() {
        assert_eq!(Code::of(u32::MAX), Code::default());
        assert_eq!(Code::by_class(0x1234), None);
    }
}

//! One program or library, copied out of the process that runs it.
//!
//! The copy is memory of our own: a file that is cut while it is mapped would end us with a signal,
//! and whatever lies at its path may be another file by now.

use std::{
    fs::{File, Metadata},
    io::{self, Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::fs::MetadataExt as _},
    path::PathBuf,
    sync::Arc,
};

use nix::sys::memfd::{MFdFlags, memfd_create};
use object::{
    Endianness, Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _, ReadCache,
    ReadRef, SectionFlags, SegmentFlags, SymbolKind,
    elf::{FileHeader64, PF_W, PF_X, ProgramFlags, SHF_COMPRESSED},
    read::elf::ElfFile,
};

use super::{
    super::{fuse, memory},
    symbols::{Names, demangled},
};
use crate::arch::page_size;
use forktrace_model::event::Mapping;

/// Largest file that is copied, bytes.
const MAX_FILE: u64 = 256 << 20;
/// Most bytes that the compressed sections of a file may hold: the size of a whole file.
const MAX_UNCOMPRESSED: u64 = MAX_FILE;
/// What the kernel calls its own library in every process.
const VDSO: &str = "[vdso]";

/// A program or library.
#[derive(Debug)]
pub(super) struct Image {
    copy: File,
    segments: Vec<Segment>,
    /// Lowest address of its own.
    pub(super) base: u64,
    /// What unwinding needs.
    pub(super) unwind: Unwind,
    /// Its build id, hexadecimal digits.
    pub(super) build_id: Option<String>,
    /// Whether its sections are small enough to be unpacked.
    pub(super) unpacks: bool,
    /// Size of the copy and of what is kept beside it, bytes.
    pub(super) bytes: u64,
    /// What addresses of its own were found to be called.
    pub(super) names: Names,
}

/// Sections that unwinding needs, with their addresses.
#[derive(Debug, Default)]
pub(super) struct Unwind {
    pub(super) text: Option<(u64, u64)>,
    pub(super) got: Option<(u64, u64)>,
    pub(super) eh_frame: Option<(u64, Arc<[u8]>)>,
    pub(super) eh_frame_hdr: Option<(u64, Arc<[u8]>)>,
    pub(super) debug_frame: Option<Arc<[u8]>>,
}

impl Unwind {
    fn bytes(&self) -> u64 {
        let tables = [&self.eh_frame, &self.eh_frame_hdr];
        let tables = tables.into_iter().flatten().map(|(_, bytes)| bytes.len());
        tables.chain(self.debug_frame.iter().map(|bytes| bytes.len())).sum::<usize>() as u64
    }
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    address: u64,
    size: u64,
    offset: u64,
    file_size: u64,
    flags: ProgramFlags,
}

/// Where an address of a module lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) section: Option<String>,
    pub(super) symbol: Option<String>,
    /// Bytes from the beginning of the closest of them.
    pub(super) offset: u64,
}

/// Which file it is, and as of when: its device and number, its size, and when it was last changed (seconds
/// and ns). All zero for the kernel's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId([u64; 3], [i64; 4]);

impl FileId {
    /// What the kernel maps itself.
    pub(super) const KERNELS: FileId = FileId([0; 3], [0; 4]);

    /// Whether it is a file.
    pub(super) fn is_file(self) -> bool {
        self != FileId::KERNELS
    }

    #[cfg(test)]
    pub(super) fn made_up(inode: u64) -> Self {
        FileId([1, inode, 0], [0; 4])
    }

    /// That of the file that a mapping shows.
    pub(super) fn of_mapping(pid: u32, mapping: &Mapping) -> Result<Self, String> {
        if mapping.path == VDSO {
            return Ok(FileId::KERNELS);
        }
        let (_, about) = opened(pid, mapping)?;
        let changed = [about.mtime(), about.mtime_nsec(), about.ctime(), about.ctime_nsec()];
        Ok(FileId([about.dev(), about.ino(), about.len()], changed))
    }
}

type Elf<'a, R> = ElfFile<'a, FileHeader64<Endianness>, R>;

impl Image {
    /// The file that a mapping shows, which need not be the one at its path any more.
    pub(super) fn of_mapping(pid: u32, mapping: &Mapping) -> Result<Self, String> {
        let copy = match mapping.path.as_str() {
            VDSO => {
                let len = usize::try_from(mapping.end.saturating_sub(mapping.start));
                let bytes = memory::read(pid, mapping.start, len.unwrap_or_default())
                    .map_err(|error| error.to_string())?;
                let mut copy = empty()?;
                copy.write_all(&bytes).map_err(|error| in_words(&error))?;
                copy
            }
            _ => copied(pid, mapping)?,
        };
        Image::parse(copy)
    }

    fn parse(copy: File) -> Result<Self, String> {
        let cache = ReadCache::new(copy);
        let elf: Elf<'_, _> =
            ElfFile::parse(&cache).map_err(|_| "its file is no 64-bit ELF".to_owned())?;
        let segments: Vec<Segment> = elf
            .segments()
            .filter_map(|segment| {
                let (offset, file_size) = segment.file_range();
                let SegmentFlags::Elf { p_flags: flags, .. } = segment.flags() else { return None };
                Some(Segment {
                    address: segment.address(),
                    size: segment.size(),
                    offset,
                    file_size,
                    flags,
                })
            })
            .collect();
        let base =
            segments.iter().map(|segment| segment.address).min().unwrap_or(0) & !(page_size() - 1);
        let unwind = unwind(&elf);
        let build_id = elf
            .build_id()
            .ok()
            .flatten()
            .map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let unpacks = unpacked_size(&elf) <= MAX_UNCOMPRESSED;
        drop(elf);
        let copy = cache.into_inner();
        let bytes = copy.metadata().map_or(0, |about| about.len());
        let bytes = bytes.saturating_add(unwind.bytes());
        let names = Names::default();
        Ok(Image { copy, segments, base, unwind, build_id, unpacks, bytes, names })
    }

    /// A path under which this process can open the copy.
    pub(super) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.copy.as_raw_fd()))
    }

    /// What is to be added to an address of the file to get that of the process, as told by one
    /// mapping of the file.
    pub(super) fn bias(&self, mapping: &Mapping) -> Option<u64> {
        let wanted = match mapping.perms.as_bytes() {
            [_, b'w', ..] => PF_W,
            [_, _, b'x', ..] => PF_X,
            _ => ProgramFlags(0),
        };
        let holds = |segment: &&Segment| {
            let first = segment.offset & !(page_size() - 1);
            let end = segment.offset.saturating_add(segment.file_size);
            (first..end).contains(&mapping.offset) && segment.flags.0 & wanted.0 == wanted.0
        };
        // A page of the file may hold the end of one segment and the beginning of the next (lld lays
        // out .relro_padding so): a mapping begins with its own segment, unless it was split.
        let begins = |segment: &&Segment| segment.offset & !(page_size() - 1) == mapping.offset;
        let own = self.segments.iter().filter(holds).find(begins);
        let segment = own.or_else(|| self.segments.iter().find(holds))?;
        let address = segment.address.wrapping_sub(segment.offset).wrapping_add(mapping.offset);
        Some(mapping.start.wrapping_sub(address))
    }

    /// Whether an address of the file's own is in its memory.
    pub(super) fn holds(&self, address: u64) -> bool {
        let holds = |segment: &Segment| {
            address.checked_sub(segment.address).is_some_and(|offset| offset < segment.size)
        };
        self.segments.iter().any(holds)
    }

    /// The variable and section at an address of the file's own.
    pub(super) fn spot(&self, address: u64) -> Option<Spot> {
        let cache = ReadCache::new(self.copy.try_clone().ok()?);
        let elf: Elf<'_, _> = ElfFile::parse(&cache).ok()?;
        let section = elf.sections().find(|section| {
            let end = section.address().saturating_add(section.size());
            section.address() != 0 && (section.address()..end).contains(&address)
        });
        let start = section.as_ref().map(|section| section.address());
        let section = section.and_then(|section| section.name().ok().map(str::to_owned));
        let symbol = elf.symbols().chain(elf.dynamic_symbols()).find(|symbol| {
            let offset = address.checked_sub(symbol.address());
            symbol.kind() == SymbolKind::Data && offset.is_some_and(|offset| offset < symbol.size())
        });
        let named =
            symbol.and_then(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address())));
        let (symbol, start) = match named {
            Some((name, start)) => (Some(name), start),
            None => (None, start.unwrap_or(self.base)),
        };
        // As programs of Rust call it; other names come out as they are.
        let symbol = symbol.map(|name| demangled(&name));
        Some(Spot { section, symbol, offset: address.wrapping_sub(start) })
    }
}

#[cfg(test)]
impl Image {
    /// One that has nothing, and counts as so many bytes.
    pub(super) fn empty(bytes: u64) -> Self {
        let copy = File::open("/dev/null").unwrap_or_else(|error| unreachable!("{error}"));
        let (segments, unwind, names) = (Vec::new(), Unwind::default(), Names::default());
        Image { copy, segments, base: 0, unwind, build_id: None, unpacks: false, bytes, names }
    }
}

fn unwind<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>) -> Unwind {
    let range = |name| {
        let section = elf.section_by_name(name)?;
        Some((section.address(), section.address().saturating_add(section.size())))
    };
    let data = |name| {
        let section = elf.section_by_name(name)?;
        let bytes =
            section.data().ok().filter(|bytes| !bytes.is_empty() && !compressed(&section))?;
        Some((section.address(), Arc::from(bytes)))
    };
    Unwind {
        text: range(".text"),
        got: range(".got"),
        eh_frame: data(".eh_frame"),
        eh_frame_hdr: data(".eh_frame_hdr"),
        debug_frame: data(".debug_frame").map(|(_, bytes)| bytes),
    }
}

fn compressed<'a>(section: &impl object::ObjectSection<'a>) -> bool {
    matches!(section.flags(), SectionFlags::Elf { sh_flags, .. }
        if sh_flags.0 & SHF_COMPRESSED.0 != 0)
}

/// The bytes that the compressed sections say they hold: the second field of `Elf64_Chdr`, which
/// has a word and a reserved one before it (generic ABI, "Section Compression").
fn unpacked_size<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>) -> u64 {
    let size = |section: object::read::elf::ElfSection<'a, '_, FileHeader64<Endianness>, R>| {
        let header = section.data().ok()?.get(8..16)?;
        Some(u64::from_le_bytes(header.try_into().ok()?))
    };
    elf.sections()
        .filter(compressed)
        .map(|section| size(section).unwrap_or(u64::MAX))
        .fold(0, u64::saturating_add)
}

fn in_words(error: &io::Error) -> String {
    format!("its file cannot be read: {error}")
}

pub(in crate::inspect) fn empty() -> Result<File, String> {
    let file = memfd_create("forktrace-image", MFdFlags::MFD_CLOEXEC);
    file.map(File::from).map_err(|error| in_words(&error.into()))
}

/// The file itself, whatever lies at its path by now and in whatever mount namespace.
fn opened(pid: u32, mapping: &Mapping) -> Result<(File, Metadata), String> {
    if !mapping.path.starts_with('/') {
        return Err("no file is mapped there".into());
    }
    let file = fuse::open_mapped(pid, mapping.start).map_err(|error| in_words(&error))?;
    let about = file.metadata().map_err(|error| in_words(&error))?;
    Ok((file, about))
}

fn copied(pid: u32, mapping: &Mapping) -> Result<File, String> {
    let (file, about) = opened(pid, mapping)?;
    if about.len() > MAX_FILE {
        return Err(format!("its file is larger than {} MiB", MAX_FILE >> 20));
    }
    let mut copy = empty()?;
    io::copy(&mut file.take(MAX_FILE), &mut copy).map_err(|error| in_words(&error))?;
    Ok(copy)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(in crate::inspect) mod fuzzed;
#[cfg(test)]
mod tests;

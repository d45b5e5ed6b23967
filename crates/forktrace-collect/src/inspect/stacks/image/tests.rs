#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::{super::super::timeout::quietly, fuzzed::walk_all, *};

fn image(bytes: &[u8]) -> Result<Image, String> {
    let mut copy = empty().unwrap();
    copy.write_all(bytes).unwrap();
    Image::parse(copy)
}

/// A small real library: the kernel's own, which every process has.
fn vdso() -> Vec<u8> {
    let pid = std::process::id();
    let mappings = memory::mappings(pid).unwrap();
    let vdso = mappings.iter().find(|mapping| mapping.path == VDSO).unwrap();
    let len = usize::try_from(vdso.end - vdso.start).unwrap();
    memory::read(pid, vdso.start, len).unwrap()
}

/// Everything that is ever asked of an image.
fn ask_all(image: &Image) {
    fuzzed::ask_all(image);
    let symbolizer = blazesym::symbolize::Symbolizer::new();
    let source = blazesym::symbolize::source::Elf::new(image.path());
    let asked = [0, image.base, 0x800, u64::MAX];
    let input = blazesym::symbolize::Input::VirtOffset(&asked[..]);
    let _ = quietly(|| symbolizer.symbolize(&source.into(), input).map(|_| ()).is_ok());
}

#[test]
fn a_real_library_is_understood() {
    let image = image(&vdso()).unwrap();
    assert!(image.unwind.eh_frame.is_some() && image.unwind.text.is_some());
    assert!(image.build_id.as_ref().is_some_and(|id| id.len() >= 16));
    assert!(image.unpacks);
    ask_all(&image);
    assert!(walk_all(image) > 32);
}

#[test]
fn a_library_maps_where_its_segments_say() {
    let flags = |flags: u32| ProgramFlags(flags);
    let copy = empty().unwrap();
    let segment = |address, size, offset, file_size, bits| Segment {
        address,
        size,
        offset,
        file_size,
        flags: flags(bits),
    };
    let image = Image {
        copy,
        // Both are on the file's second page: the mapping's permissions tell them apart.
        segments: vec![
            segment(0x1000, 0x800, 0x1000, 0x800, 5),
            segment(0x2800, 0x900, 0x1800, 0x100, 6),
        ],
        base: 0x1000,
        unwind: Unwind::default(),
        build_id: None,
        unpacks: true,
        bytes: 0,
        names: Names::default(),
    };
    let mapping = |start, perms: &str| Mapping {
        start,
        end: start + 0x1000,
        offset: 0x1000,
        perms: perms.into(),
        ..Mapping::default()
    };
    assert_eq!(image.bias(&mapping(0x7f00_0000_1000, "r-xp")), Some(0x7f00_0000_0000));
    assert_eq!(image.bias(&mapping(0x7f00_0000_2000, "rw-p")), Some(0x7f00_0000_0000));
    assert_eq!(image.bias(&Mapping { offset: 0x9000, ..mapping(0x7f00_0000_1000, "r-xp") }), None);
    assert!(image.holds(0x30ff) && !image.holds(0x3100) && !image.holds(0xfff));
}

#[test]
fn what_is_no_library_is_an_error() {
    assert!(image(b"").is_err());
    assert!(image(b"\x7fELF").is_err());
    assert!(image(b"#!/bin/sh\n").is_err());
    for mapping in ["", "[heap]", "[stack]", "anon_inode:[perf]"] {
        let mapping = Mapping { path: mapping.into(), ..Mapping::default() };
        assert!(Image::of_mapping(std::process::id(), &mapping).is_err());
    }
    let gone = Mapping { path: "/bin/sh".into(), start: 1, end: 2, ..Mapping::default() };
    assert!(Image::of_mapping(std::process::id(), &gone).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_broken_library_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..24),
        header in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = vdso();
        let range = if header { 64 * 12 } else { bytes.len() };
        for (at, byte) in changes {
            bytes[at.index(range)] = byte;
        }
        if cut.index(4) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(image) = image(&bytes) {
            ask_all(&image);
            walk_all(image);
        }
    }
}

#[test]
fn a_page_of_the_file_in_two_segments_is_that_of_the_mapping_that_begins_with_it() {
    // As lld lays out a program of Rust: the page at 0x8c000 has the end of the first segment, which
    // is read only once the program runs, and the beginning of the second.
    let segment = |address, offset, file_size| Segment {
        address,
        size: file_size,
        offset,
        file_size,
        flags: PF_W,
    };
    let mut image = image(&vdso()).unwrap();
    image.segments = vec![segment(0x8a888, 0x88888, 0x3d70), segment(0x8f5f8, 0x8c5f8, 0x9e8)];
    let bias = |start, offset, perms: &str| {
        let end = start + 0x1000;
        image.bias(&Mapping { start, end, offset, perms: perms.into(), ..Mapping::default() })
    };
    let loaded = 0x5555_0000_0000;
    assert_eq!(bias(loaded + 0x8f000, 0x8c000, "rw-p"), Some(loaded));
    assert_eq!(bias(loaded + 0x8a000, 0x88000, "r--p"), Some(loaded));
    // A mapping that was split off in the middle of its segment.
    assert_eq!(bias(loaded + 0x8b000, 0x89000, "rw-p"), Some(loaded));
}

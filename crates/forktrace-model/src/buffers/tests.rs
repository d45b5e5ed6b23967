//! Layouts of buffers, for and against.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

const AT: u64 = 0x7f00_0000_1000;

/// The bytes of an object with these words at these offsets.
fn object(words: &[(usize, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; EXTENT];
    for (at, word) in words {
        bytes.splice(*at..*at + 8, word.to_le_bytes());
    }
    bytes
}

fn with(words: &[(usize, u64)], other: &[(usize, u64)]) -> Vec<u8> {
    object(&[words, other].concat())
}

/// A stream of glibc with 22 bytes in its buffer of 4096.
const GLIBC: &[(usize, u64)] = &[
    (0x00, 0xfbad_2c84),
    (0x20, 0x5000),
    (0x28, 0x5016),
    (0x30, 0x6000),
    (0x38, 0x5000),
    (0x40, 0x6000),
    (0x70, 1),
    (0xd8, 0x7fff_f7fa_15e0),
];

/// A stream of musl with 22 bytes in its buffer of 1024.
const MUSL: &[(usize, u64)] = &[
    (0, 5),
    (24, 0x4000),
    (32, 0x5400),
    (40, 0x5016),
    (56, 0x5000),
    (72, 0x4100),
    (80, 0x4200),
    (88, 0x5000),
    (96, 1024),
    (120, 3),
];

/// A file of Python in text mode with 22 bytes to be written.
const TEXT: &[(usize, u64)] = &[
    (0, 3),
    (8, 0x94_0000),
    (16, 1),
    (24, 8192),
    (32, 0x7f10_0000),
    (40, 0x7f10_0100),
    (48, 0x7f10_0200),
    (136, 0x7f10_0300),
    (144, 22),
];

/// A binary file of Python with 22 bytes to be written.
const BYTES: &[(usize, u64)] = &[
    (0, 2),
    (8, 0x94_1000),
    (16, 0x7f10_0000),
    (24, 1),
    (32, 1 << 32),
    (56, 0x7f20_0000),
    (88, 0),
    (96, 22),
    (120, 8192),
];

#[test]
fn each_kind_is_found_with_what_is_in_it() {
    let all = [
        (GLIBC, BufferKind::Glibc, Some(1)),
        (MUSL, BufferKind::Musl, Some(3)),
        (TEXT, BufferKind::PythonText, None),
        (BYTES, BufferKind::PythonBytes, None),
    ];
    for (words, kind, fd) in all {
        let found = at(AT, &object(words)).unwrap();
        assert_eq!((found.kind, found.bytes, found.fd), (kind, 22, fd));
        assert!(may_begin(&object(words)), "{kind}");
        let page = [vec![0; 64], object(words)].concat();
        assert_eq!(within(AT - 64, &page), [found], "{kind}");
        assert_eq!(at(AT, &object(words)[..100]), None, "{kind} that is cut");
    }
}

#[test]
fn an_object_may_go_on_in_the_next_page_or_behind_it() {
    for words in [GLIBC, MUSL, TEXT, BYTES] {
        let found = at(AT, &object(words)).unwrap();
        // Two pages, the boundary in the middle of the object.
        let (head, tail) = (object(words)[..80].to_vec(), object(words)[80..].to_vec());
        let (start, end) = (AT - 160, AT + 80);
        let first = (start, [vec![0; 160], head].concat());
        let of = |pages: Vec<(u64, Vec<u8>)>, behind: Option<Vec<u8>>| -> Vec<Unwritten> {
            in_pages(pages.into_iter(), |at| behind.clone().filter(|_| at == end)).collect()
        };
        let pages = vec![first.clone(), (end, tail.clone())];
        assert_eq!(of(pages, None), [found], "once, though both pages have a part");
        let apart = vec![first.clone(), (end + 4096, tail.clone())];
        assert_eq!(of(apart.clone(), None), [], "the next page is another one");
        assert_eq!(of(apart, Some(tail)), [found], "read elsewhere");
        assert_eq!(of(vec![first], None), []);
    }
}

#[test]
fn what_is_no_buffer_or_has_nothing_in_it_is_not_found() {
    let glibc: &[(usize, u64)] = &[
        // No stream, one that reads, one without a buffer, one that is not written to, one in memory.
        (0x00, 0xfbac_2c84),
        (0x00, 0xfbad_2c8c),
        (0x00, 0xfbad_2c86),
        (0x00, 0xfbad_2484),
        (0x00, 0xfbad_0c84),
        // Empty, more than fits, a buffer that is elsewhere, no file, wide, no functions.
        (0x28, 0x5000),
        (0x28, 0x6001),
        (0x38, 0x5008),
        (0x70, 0xffff_ffff),
        (0xc0, 1),
        (0xd8, 0),
    ];
    let musl: &[(usize, u64)] = &[
        (0, 13),
        (0, 0x1_0000),
        (8, 0x5000),
        (40, 0x5000),
        (32, 0x5300),
        (48, 1),
        (56, 0x5008),
        (72, 0),
        (176, 1),
        (120, 0xffff_ffff),
    ];
    let text: &[(usize, u64)] =
        &[(0, 0), (8, 0), (16, 0), (16, 1 << 32 | 1), (24, 0), (32, 0), (136, 0), (144, 0)];
    let bytes: &[(usize, u64)] =
        &[(0, 0), (8, 7), (24, 0), (32, 0), (56, 0), (96, 0), (96, u64::MAX), (96, 8193), (120, 0)];
    for (words, changes) in [(GLIBC, glibc), (MUSL, musl), (TEXT, text), (BYTES, bytes)] {
        for change in changes {
            assert_eq!(at(AT, &with(words, &[*change])), None, "{change:x?}");
        }
    }
    assert_eq!(at(AT, &[0; EXTENT]), None);
    assert_eq!(at(AT, &[0xff; EXTENT]), None);
    assert_eq!(at(AT, &[]), None);
    assert!(within(u64::MAX - 8, &object(GLIBC)).len() <= 1);
}

fn became(words: &[(usize, u64)], change: &[(usize, u64)]) -> BufferState {
    let then = at(AT, &object(words)).unwrap();
    state(&then, &with(words, change))
}

#[test]
fn what_became_of_it_is_read_from_the_bytes() {
    for words in [GLIBC, MUSL, TEXT, BYTES] {
        assert_eq!(became(words, &[]), BufferState::Same);
        let zeroes: Vec<(usize, u64)> = (0..EXTENT / 8).map(|word| (word * 8, 0)).collect();
        assert_eq!(became(words, &zeroes), BufferState::Unknown, "it is no object any more");
    }
    assert_eq!(became(GLIBC, &[(0x28, 0x5020)]), BufferState::Added);
    assert_eq!(became(GLIBC, &[(0x28, 0x5000)]), BufferState::Emptied);
    assert_eq!(became(GLIBC, &[(0x28, 0x5004)]), BufferState::Emptied, "and used since");
    assert_eq!(became(MUSL, &[(40, 0x5020)]), BufferState::Added);
    assert_eq!(became(MUSL, &[(32, 0), (40, 0), (56, 0)]), BufferState::Emptied);
    assert_eq!(became(TEXT, &[(136, 0x7f10_0400), (144, 40)]), BufferState::Added);
    assert_eq!(became(TEXT, &[(136, 0), (144, 0)]), BufferState::Emptied);
    assert_eq!(became(BYTES, &[(96, 40)]), BufferState::Added);
    assert_eq!(became(BYTES, &[(96, u64::MAX)]), BufferState::Emptied);
    assert_eq!(became(BYTES, &[(8, 0x95_0000)]), BufferState::Unknown, "another type");
}

#[test]
fn a_first_write_tells_by_its_function_and_place() {
    let glibc = at(AT, &object(GLIBC)).unwrap();
    let by = |address, function| by_first_write(&glibc, address, function);
    assert_eq!(by(AT + 0x28, Wrote::Flush), BufferState::Written);
    assert_eq!(by(AT + 0x28, Wrote::Other), BufferState::Touched, "it may have added text");
    assert_eq!(by(AT - 8, Wrote::Flush), BufferState::Touched, "another stream on the page");
    assert_eq!(by(AT + 0x400, Wrote::Flush), BufferState::Touched);
    assert_eq!(by(AT + 0x10, Wrote::Purge), BufferState::Unknown);
    let musl = at(AT, &object(MUSL)).unwrap();
    assert_eq!(by_first_write(&musl, AT + 56, Wrote::Flush), BufferState::Written);
    assert_eq!(by_first_write(&musl, AT + 56, Wrote::Other), BufferState::Touched);
    assert_eq!(by_first_write(&musl, AT + 40, Wrote::Other), BufferState::Added);
    let python = at(AT, &object(TEXT)).unwrap();
    assert_eq!(by_first_write(&python, AT, Wrote::Flush), BufferState::Touched);
}

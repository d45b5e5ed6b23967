//! The function and the line that a frame of CPython 3.11 is at, read from the interpreter's own
//! structures: of a thread that the process does not have, nobody else tells them.
//!
//! Layouts as in `frames.rs`. The table of lines is `co_linetable`, one entry a run of instructions
//! (`Objects/locations.md`, CPython 3.11): its first byte alone has the highest bit set, below it four
//! bits say of which form it is and three how many code units it covers, less one.

use super::{frames::frame, remote::Remote};
use forktrace_model::event::PythonFrame;

/// Of `PyCodeObject`.
const FIRST_LINE: u64 = 72;
const FILE: u64 = 112;
const QUALIFIED_NAME: u64 = 128;
const LINES: u64 = 136;
const INSTRUCTIONS: u64 = 184;
/// Of `PyBytesObject`.
const BYTES_SIZE: u64 = 16;
const BYTES: u64 = 32;
/// Largest table that is read.
const MAX_TABLE: u64 = 1 << 16;
/// Bytes of a code unit.
const UNIT: u64 = 2;

/// Where the frame at `frame` is.
pub(super) fn at(remote: &Remote, frame: u64) -> Option<PythonFrame> {
    let code = remote.long(frame.checked_add(frame::CODE)?)?;
    let text = |offset: u64| remote.string(remote.long(code.checked_add(offset)?)?);
    let (file, function) = (text(FILE)?, text(QUALIFIED_NAME)?);
    let line = line(remote, frame, code).unwrap_or_default();
    Some(PythonFrame { file, line, function })
}

fn line(remote: &Remote, frame: u64, code: u64) -> Option<u32> {
    let instruction = remote.long(frame.checked_add(frame::INSTRUCTION)?)?;
    let unit = instruction.checked_sub(code.checked_add(INSTRUCTIONS)?)? / UNIT;
    let first = remote.int(code.checked_add(FIRST_LINE)?)?;
    let table = remote.long(code.checked_add(LINES)?)?;
    let size = remote.long(table.checked_add(BYTES_SIZE)?)?;
    let size = usize::try_from(size).ok().filter(|_| size <= MAX_TABLE)?;
    line_of(&remote.some(table.checked_add(BYTES)?, size)?, first, unit)
}

/// The line of code unit `unit`; `None`: it has none.
fn line_of(table: &[u8], first: u32, unit: u64) -> Option<u32> {
    let mut line = i64::from(first);
    let mut end = 0;
    let begins = |byte: &u8| byte & 0x80 != 0;
    let mut rest = table;
    while let Some((head, others)) = rest.split_first() {
        let length = others.iter().position(begins).unwrap_or(others.len());
        let (entry, next) = others.split_at_checked(length)?;
        rest = next;
        let form = head >> 3 & 15;
        line = line.checked_add(match form {
            13 | 14 => signed(entry)?,
            10..=12 => i64::from(form) - 10,
            _ => 0,
        })?;
        end += u64::from(head & 7) + 1;
        if unit < end {
            return u32::try_from(line).ok().filter(|_| form != 15);
        }
    }
    None
}

/// A number in steps of six bits, the lowest first, its sign the lowest bit of all.
fn signed(bytes: &[u8]) -> Option<i64> {
    let (mut value, mut shift) = (0_i64, 0);
    for byte in bytes {
        value |= i64::from(byte & 63).checked_shl(shift)?;
        shift += 6;
        if byte & 64 == 0 {
            return Some(if value & 1 == 0 { value >> 1 } else { -(value >> 1) });
        }
        // More than any line has.
        if shift > 36 {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// What CPython 3.11.7 makes of a function with a `with` block, a comprehension and a loop, and the
    /// lines that its `co_lines` tells.
    const FIRST: u32 = 2;
    const TABLE: &[u8] = &[
        0x80, 0x00, 0xd8, 0x09, 0x0d, 0xf0, 0x00, 0x4d, 0x01, 0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01,
        0x05, 0x14, 0xd8, 0x08, 0x0c, 0x8f, 0x08, 0x8a, 0x08, 0x89, 0x0a, 0x8c, 0x0a, 0x88, 0x0a,
        0xf0, 0x50, 0x02, 0x02, 0x0d, 0x1f, 0xf0, 0x00, 0x02, 0x0d, 0x1f, 0xe5, 0x15, 0x1a, 0x98,
        0x31, 0x91, 0x58, 0x94, 0x58, 0xf0, 0x05, 0x02, 0x0d, 0x1f, 0xf1, 0x00, 0x02, 0x0d, 0x1f,
        0xf4, 0x00, 0x02, 0x0d, 0x1f, 0x88, 0x01, 0xf0, 0x06, 0x00, 0x0f, 0x10, 0xf0, 0x00, 0x01,
        0x09, 0x14, 0xd8, 0x0c, 0x0d, 0x8f, 0x45, 0x8a, 0x45, 0x89, 0x47, 0x8c, 0x47, 0x88, 0x47,
        0xf0, 0x03, 0x00, 0x0f, 0x10, 0xf0, 0x00, 0x01, 0x09, 0x14, 0xf0, 0x59, 0x02, 0x4d, 0x01,
        0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01, 0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01, 0x05, 0x14, 0xf1,
        0x00, 0x4d, 0x01, 0x05, 0x14, 0xf4, 0x00, 0x4d, 0x01, 0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01,
        0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01, 0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01, 0x05, 0x14, 0xf0,
        0x00, 0x4d, 0x01, 0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01, 0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01,
        0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01, 0x05, 0x14, 0xf8, 0xf8, 0xf8, 0xf0, 0x00, 0x4d, 0x01,
        0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01, 0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01, 0x05, 0x14, 0xf0,
        0x00, 0x4d, 0x01, 0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01, 0x05, 0x14, 0xf0, 0x00, 0x4d, 0x01,
        0x05, 0x14,
    ];
    /// Lines, each with the number of code units that it has.
    const RUNS: &[(Option<u32>, usize)] = &[
        (Some(2), 1),
        (Some(3), 3),
        (Some(4), 20),
        (Some(76), 2),
        (Some(78), 14),
        (Some(76), 9),
        (Some(79), 2),
        (Some(80), 20),
        (Some(79), 2),
        (Some(3), 17),
        (None, 3),
        (Some(3), 6),
    ];

    #[test]
    fn lines_are_those_that_python_tells() {
        let lines = RUNS.iter().flat_map(|(line, units)| std::iter::repeat_n(*line, *units));
        let lines: Vec<Option<u32>> = lines.collect();
        assert_eq!(lines.len(), 99);
        for (unit, line) in (0..).zip(&lines) {
            assert_eq!(line_of(TABLE, FIRST, unit), *line, "unit {unit}");
        }
        assert_eq!(line_of(TABLE, FIRST, lines.len() as u64), None);
    }

    #[test]
    fn a_damaged_table_tells_nothing() {
        assert_eq!(line_of(&[], 1, 0), None);
        assert_eq!(line_of(&[0x80 | 13 << 3], 1, 0), None, "no number");
        assert_eq!(line_of(&[0x80 | 13 << 3, 64, 64, 64, 64, 64, 64, 64, 64], 1, 0), None);
        // A line before the first of all.
        assert_eq!(line_of(&[0x80 | 13 << 3, 7], 1, 0), None);
    }
}

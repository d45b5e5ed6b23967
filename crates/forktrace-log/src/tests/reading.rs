use std::io::{self, BufReader, Read};

use proptest::prelude::*;

use super::{any, end, errors, fork, log, read, start};
use crate::{Gap, LineKind, MAX_LINE, Reader};

const UNKNOWN: &[u8] = br#"{"schema":1,"type":"disk.full","seq":2,"ts":"","boot_ns":5,"new":[1]}"#;

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// The n-th line of a whole log, with its newline.
fn nth(n: usize) -> Vec<u8> {
    let log = log(&[start(), fork(), end()]);
    log.split_inclusive(|byte| *byte == b'\n').nth(n).unwrap().to_vec()
}

#[test]
fn an_empty_file_says_so() {
    let (lines, summary) = read(b"");
    assert_eq!(errors(&lines), ["line 1: the log is empty: it has no first line (trace.start)"]);
    assert_eq!((summary.lines, summary.bad), (0, 0));
}

#[test]
fn a_log_without_its_beginning_is_read_on() {
    let (lines, summary) = read(&joined(&[&nth(1), &nth(2)]));
    insta::assert_snapshot!(errors(&lines).join("\n"), @"line 1: the first line is not a trace.start line (the first line is of another type): this is not a forktrace log, or its beginning is missing");
    assert_eq!((lines.len(), summary.lines, summary.bad), (3, 2, 0));
    assert!(!summary.started && summary.ended);
    assert_eq!(summary.first_gap, Some(Gap { line: 1, expected: 1, found: 2 }));
}

#[test]
fn another_file_is_no_log() {
    let (lines, summary) = read(b"\x7fELF\x02\x01\x01");
    assert!(errors(&lines)[0].contains("this is not a forktrace log"));
    assert_eq!(summary.lines, 0);
    let (lines, _) = read(b"root:x:0:0\n");
    assert!(errors(&lines)[0].contains("not a JSON object"));
}

#[test]
fn a_bad_line_costs_only_itself() {
    for (bad, cause) in [
        (&b"{\"schema\":1,"[..], "EOF while parsing a value"),
        (b"", "not a JSON object"),
        (b"[1,\"process.exit\",2,\"\",3]", "not a JSON object"),
        (b"\"\xff\"", "not UTF-8 (byte 2)"),
        (b"{}", "missing field `schema`"),
        (b"{\"schema\":0}", "unknown schema 0"),
        (b"{\"schema\":7}", "newer forktrace (schema 7); update forktrace"),
        (
            br#"{"schema":1,"type":"process.exit","seq":2,"boot_ns":5,"pid":1,"tid":1}"#,
            "`pid`, `tid` or `comm` is missing",
        ),
        (br#"{"schema":1,"type":"process.exit","seq":2,"boot_ns":-5}"#, "negative number"),
        (
            br#"{"schema":1,"type":"process.exit","seq":2,"boot_ns":5,"pid":4294967296}"#,
            "invalid value",
        ),
    ] {
        let (lines, summary) = read(&joined(&[&nth(0), bad, b"\n", &nth(2)]));
        let errors = errors(&lines);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].starts_with("line 2: "), "{errors:?}");
        assert!(errors[0].contains(cause), "{errors:?} has no {cause}");
        assert_eq!((summary.lines, summary.bad, summary.first_gap), (2, 1, None));
        assert!(summary.ended);
    }
}

#[test]
fn errors_are_fit_for_a_terminal() {
    let hostile = "{\"schema\":1,\"type\":\"finding\",\"seq\":2,\"boot_ns\":1,\"kind\":\"\u{1b}[2J\u{202e}\"}";
    let hostile = hostile.replace('\u{1b}', "\\u001b");
    let (lines, _) = read(&joined(&[&nth(0), hostile.as_bytes(), b"\n"]));
    let text = &errors(&lines)[0];
    assert!(text.is_ascii() && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_newer_log_is_refused_once() {
    let (lines, _) = read(b"{\"schema\":2,\"kind\":1}\n{\"schema\":2}\n");
    assert_eq!(
        errors(&lines),
        ["line 1: this log was written by a newer forktrace (schema 2); update forktrace"]
    );
}

#[test]
fn unknown_types_and_fields_are_passed_over() {
    let first = String::from_utf8(nth(0)).unwrap().replace("\"seq\"", "\"later\":{},\"seq\"");
    let (lines, summary) = read(&joined(&[first.as_bytes(), UNKNOWN, b"\n", &nth(2)]));
    let line = lines[1].as_ref().unwrap();
    assert_eq!(line.kind, LineKind::Unknown { type_name: "disk.full".into() });
    assert_eq!(line.boot_ns, 5);
    assert_eq!((summary.lines, summary.bad, summary.unknown), (3, 0, 1));
}

#[test]
fn a_cut_log_keeps_its_whole_lines() {
    let whole = log(&[start(), fork(), end()]);
    for cut in 1..whole.len() {
        let (lines, summary) = read(&whole[..cut]);
        let newlines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
        let taken = lines.iter().filter(|line| line.is_ok()).count();
        let complete = cut == whole.len() - 1;
        assert!(taken == newlines || taken == newlines + 1, "{cut}");
        assert_eq!(summary.ended, complete, "{cut}");
        assert_eq!(summary.lines, taken as u64);
        assert!(lines.len() <= newlines + 1, "{cut}");
    }
}

#[test]
fn missing_lines_show_as_the_first_gap() {
    let (_, summary) = read(&joined(&[&nth(0), &nth(2)]));
    assert_eq!(summary.first_gap, Some(Gap { line: 2, expected: 2, found: 3 }));
    let (_, summary) = read(&joined(&[&nth(0), &nth(0)]));
    assert_eq!(summary.first_gap, Some(Gap { line: 2, expected: 2, found: 1 }));
}

#[test]
fn a_line_too_long_is_passed_over_and_not_kept() {
    let long = io::repeat(b'x').take(3 * MAX_LINE as u64);
    let (first, last) = (nth(0), nth(2));
    let input = first.chain(long).chain(&b"\n"[..]).chain(&last[..]);
    let mut reader = Reader::new(BufReader::new(input));
    let lines: Vec<_> = reader.by_ref().collect();
    assert_eq!(errors(&lines), ["line 2: the line is longer than 16 MiB"]);
    assert_eq!(reader.summary().lines, 2);
    assert!(reader.summary().ended);
}

#[test]
fn a_failing_file_ends_the_reading() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk on fire"))
        }
    }
    let first = nth(0);
    let lines: Vec<_> = Reader::new(BufReader::new(first.chain(Broken))).take(5).collect();
    assert_eq!(errors(&lines), ["line 2: the log could not be read: disk on fire"]);
    assert_eq!(lines.len(), 2);
}

/// Everything that holds for any bytes.
fn holds(bytes: &[u8]) -> Result<(), TestCaseError> {
    let (lines, summary) = read(bytes);
    let good = lines.iter().filter(|line| line.is_ok()).count() as u64;
    prop_assert_eq!(summary.lines, good);
    prop_assert!(summary.unknown <= good);
    prop_assert!(lines.len() <= bytes.iter().filter(|byte| **byte == b'\n').count() + 2);
    for error in errors(&lines) {
        prop_assert!(!error.chars().any(char::is_control));
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        holds(&bytes)?;
    }

    #[test]
    fn any_json_like_text_is_read_without_panic(text in r#"([{}\[\]":,0-9a-z.\\ \n]|"schema":1|"type":"|\{"schema":1,){0,60}"#) {
        holds(text.as_bytes())?;
    }

    #[test]
    fn mutated_logs_are_read_without_panic(
        events in prop::collection::vec(any::event(), 1..4),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..6),
    ) {
        let mut all = vec![start()];
        all.extend(events);
        let mut bytes = log(&all);
        for (at, byte, how) in edits {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        holds(&bytes)?;
    }
}

#[test]
fn a_line_without_end_ends_the_reading() {
    let zeroes = BufReader::new(io::repeat(0));
    let mut reader = Reader::new(io::Cursor::new(nth(0)).chain(zeroes));
    assert!(reader.next().unwrap().is_ok());
    let error = reader.next().unwrap().unwrap_err();
    assert!(error.to_string().contains("80 MiB"), "{error}");
    assert!(reader.next().is_none());
}

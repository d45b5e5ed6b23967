//! One hostile text through everything that makes texts harmless.

use serde_json::json;

use super::{checks, line, sample_finding, sample_trace};
use crate::{
    export,
    report::{Style, sanitize, wrap},
};
use forktrace_log::{LineKind, Reader, Writer};
use forktrace_model::event::{Body, ProcessExit};

/// A text that a traced program chose. Each escape keeps it where it belongs, and what reads the
/// format gets the same text back, with what is unseen made visible.
pub fn escape(data: &[u8]) {
    let [choice, other, bytes @ ..] = data else { return };
    let text = &*String::from_utf8_lossy(bytes);
    let style = line::style(*choice);
    let seen = sanitized(text, style);
    assert_eq!(checks::dot_label(&export::dot::escape(text)), seen);
    let in_xml = seen.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    assert_eq!(checks::xml_text(&export::svg::escape(text)), in_xml);
    let mut island = Vec::new();
    assert!(export::html::island(&mut island, &seen).is_ok());
    checks::island(&island);
    let cell = export::csv::harmless(text);
    assert!(cell == seen || cell.strip_prefix('\'') == Some(&*seen), "{cell:?}");
    assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell:?}");
    // To make a whole of anything takes longer than all else.
    match choice >> 5 {
        0 => in_a_row(text, &cell),
        1..=3 => in_a_log(text),
        _ => as_a_line(text, style, *other),
    }
}

/// The same in what is made of many texts: the block of a finding, or one of the pictures.
pub fn picture(data: &[u8]) {
    let [choice, other, bytes @ ..] = data else { return };
    let text = &*String::from_utf8_lossy(bytes);
    match choice % 5 {
        4 => {
            let style = line::style(choice / 5);
            line::shown(style, |out| out.finding(&sample_finding::finding(text, *other)));
        }
        which => in_a_picture(text, which, *other),
    }
}

/// As a terminal gets it. Gives it as it is where everything may be more than ASCII.
fn sanitized(text: &str, style: Style) -> String {
    let seen = sanitize(text);
    checks::terminal(seen.as_bytes(), false);
    assert!(!seen.contains('\n'));
    assert_eq!(sanitize(&seen), seen, "it is harmless, and was changed again");
    let clean = style.clean(text);
    checks::terminal(clean.as_bytes(), false);
    assert!(!clean.contains('\n') && (!style.ascii || clean.is_ascii()));
    for width in [1, 20] {
        let lines = wrap(&clean, width, width + 3);
        assert!(lines.iter().all(|line| !line.contains('\n')));
        let all: String = lines.concat().split(' ').collect();
        assert_eq!(all, clean.split(' ').collect::<String>(), "a word is gone");
    }
    seen.into_owned()
}

/// As two cells of a row of a table.
fn in_a_row(text: &str, cell: &str) {
    let out = line::row(&sample_trace::exec(text));
    let mut read = csv::Reader::from_reader(out.as_slice());
    let rows: Vec<csv::StringRecord> = read.records().flatten().collect();
    let has = |row: &csv::StringRecord| row.iter().filter(|have| *have == cell).count() >= 2;
    assert!(rows.len() == 1 && rows.iter().all(has), "{rows:?}");
}

/// As a value of the event log, and where a reader complains of it.
fn in_a_log(text: &str) {
    let event = sample_trace::exec(text);
    let mut writer = Writer::new(Vec::new(), 0);
    assert!(writer.event(&event, None).is_ok());
    let out = writer.into_inner();
    checks::terminal(&out, false);
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
    let back = Reader::new(out.as_slice()).find_map(Result::ok).map(|line| line.kind);
    assert_eq!(back, Some(LineKind::Event(event)));
    let (head, kind) = (r#"{"schema":1,"type":"finding","seq":1,"boot_ns":1,"kind":"#, json!(text));
    for error in Reader::new(format!("{head}{kind}}}\n").as_bytes()).filter_map(Result::err) {
        let error = error.to_string();
        checks::terminal(error.as_bytes(), false);
        assert!(!error.contains('\n'), "{error:?}");
    }
}

/// As a line of a report.
fn as_a_line(text: &str, style: Style, choice: u8) {
    let event = match choice % 4 {
        0 => sample_trace::alive(text),
        1 => sample_trace::lost(text),
        2 => sample_trace::exec(text),
        _ => sample_trace::event(text, Body::ProcessExit(ProcessExit::default())),
    };
    let out = line::told(style, &event);
    if style.width.is_none() {
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 2, "titles and a line");
    }
}

/// In one of the pictures.
fn in_a_picture(text: &str, which: u8, choice: u8) {
    let story = sample_trace::story(text, choice);
    let mut out = Vec::new();
    let written = match which {
        0 => export::html::data_island(&mut out, &story),
        1 => export::dot::write(&mut out, &story, true),
        2 => export::svg::write(&mut out, &story, true),
        _ => export::perfetto::write(&mut out, &story, true),
    };
    assert!(written.is_ok(), "{written:?}");
    match which {
        0 => checks::island(&out),
        1 => checks::dot(&out),
        2 => checks::svg(&out),
        _ => {
            let texts = export::perfetto::texts(&out);
            let seen = sanitize(text);
            assert!(texts.as_ref().is_some_and(|texts| texts.iter().any(|text| *text == seen)));
            for text in texts.unwrap_or_default() {
                checks::terminal(text.as_bytes(), false);
            }
        }
    }
}

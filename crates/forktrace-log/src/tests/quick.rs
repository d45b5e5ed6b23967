//! What is read in one go is read by serde just the same.

use forktrace_model::event::{Body, Event};
use proptest::prelude::*;

use super::{any, identity, log};
use crate::{
    Writer,
    reader::{parse_any, quick},
};

/// The line of an event, as the first of a log.
fn line(event: &Event, named: bool) -> String {
    let mut writer = Writer::new(Vec::new(), 7);
    writer.event(event, named.then(identity).as_ref()).unwrap();
    String::from_utf8(writer.into_inner()).unwrap().trim_end().to_owned()
}

fn same(text: &str) -> Result<(), TestCaseError> {
    if let Some(line) = quick::line(text) {
        let known = parse_any(text);
        prop_assert!(known.is_ok(), "{text}: {known:?}");
        prop_assert_eq!(line, known.unwrap());
    }
    Ok(())
}

/// Whether lines of this kind are read in one go.
fn is_frequent(body: &Body) -> bool {
    matches!(
        body,
        Body::ProcessFork(_)
            | Body::ThreadStart(_)
            | Body::ProcessExec(_)
            | Body::ProcessExit(_)
            | Body::ThreadExit(_)
            | Body::FutexWait(_)
            | Body::FutexWake(_)
    )
}

#[test]
fn the_writers_frequent_lines_are_read_so() {
    let fork = super::fork();
    assert!(quick::line(&line(&fork, false)).is_some());
    assert!(quick::line(&line(&fork, true)).is_some());
}

#[test]
fn numbers_that_serde_refuses_are_left_to_it() {
    let good = line(&super::fork(), true);
    assert!(quick::line(&good).is_some());
    for (from, to) in [
        ("4200", "04200"),
        ("4200", "4294967296"),
        ("4200", "42.0"),
        ("4200", "42e1"),
        ("4200", "-42"),
        ("4200", "99999999999999999999"),
        ("\"0x1200011\"", "\"0x\""),
        ("\"0x1200011\"", "\"0x10000000000000000\""),
        ("gunicorn", "guni\\u0063orn"),
        ("gunicorn", "guni\tcorn"),
        ("\"seq\"", " \"seq\""),
        ("\"schema\":1", "\"schema\":2"),
        ("process.fork", "process.spoon"),
        ("}", "} "),
        ("}", ""),
        ("}", ",\"pid\":7}"),
    ] {
        assert!(good.contains(from), "{from}");
        assert_eq!(quick::line(&good.replacen(from, to, 1)), None, "{to}");
    }
}

proptest! {
    #[test]
    fn a_frequent_line_is_read_in_one_go(event in any::event(), named: bool) {
        let text = line(&event, named);
        same(&text)?;
        // Escapes and numbers beyond 2^53, which are strings, are left to serde.
        let plain = !text.contains('\\') && event.boot_ns < 1 << 53;
        let body = serde_json::to_string(&event.body).unwrap();
        let small = !body.contains("_ns\":\"");
        if is_frequent(&event.body) && plain && small && event.task.is_some() {
            prop_assert!(quick::line(&text).is_some(), "{text}");
        }
    }

    #[test]
    fn a_changed_line_is_read_as_serde_reads_it(
        event in any::event(),
        named: bool,
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[0-9a-z\"{}:,.x \\\\-]", 0u8..3), 1..4),
    ) {
        let mut text: Vec<char> = line(&event, named).chars().collect();
        for (at, with, how) in edits {
            let at = at.index(text.len());
            let with = with.chars().next().unwrap();
            match how {
                0 => text[at] = with,
                1 => text.insert(at, with),
                _ => { text.remove(at); }
            }
        }
        same(&text.into_iter().collect::<String>())?;
    }
}

#[test]
fn a_whole_log_is_read_alike() {
    let bytes = log(&[super::start(), super::fork(), super::end()]);
    for line in String::from_utf8(bytes).unwrap().lines() {
        same(line).unwrap();
    }
}

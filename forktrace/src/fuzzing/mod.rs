//! What fuzz targets call: each takes bytes that an attacker chose, and panics where a promise is
//! broken. Not part of the library's interface; see docs/fuzzing.md.
//!
//! Also run as ordinary tests, over the checked in corpora (`corpus.rs`).

pub(crate) mod checks;
mod copied;
#[cfg(test)]
mod corpus;
mod escape;
mod export;
mod line;
mod log_mutator;
mod memory;
mod sample_finding;
mod sample_trace;

use forktrace_common::record::KINDS;

use crate::cli::fuzzed;

use forktrace_collect::{
    decode,
    kernel::Format,
    reorder::{ReorderBuffer, Stamped},
};

use forktrace_model::event::Body;

use forktrace_log::{Checker, Input, Reader};

pub use copied::{buffers, generators};
pub use escape::{escape, picture};
pub use export::{page, table};
pub use forktrace_collect::inspect::fuzzed::{elf, name, proc, stall};
#[cfg(feature = "python")]
pub use forktrace_collect::inspect::python::fuzzed::python;
pub use line::line;
pub use memory::locks;

/// Stands between the parts of a log.
const PART: &[u8] = b"\0\xff\0";

/// Records of the ring: a byte that says how long, so many bytes, and again. They are decoded and
/// put in order.
pub fn wire(data: &[u8]) {
    let (mut rest, mut order) = (data, ReorderBuffer::new(1000));
    let (mut given, mut lost) = (0_u64, 0_u64);
    let (mut taken, mut released_ns) = (0_u64, 0);
    let mut take = |event: forktrace_model::event::Event| {
        assert!(event.boot_ns >= released_ns, "the time goes back");
        released_ns = event.boot_ns;
        match event.body {
            Body::EventsLost(loss) => lost = lost.saturating_add(loss.count),
            _ => taken += 1,
        }
    };
    while let Some((length, after)) = rest.split_first() {
        let (record, after) =
            after.split_at(usize::from(*length).saturating_mul(2).min(after.len()));
        rest = after;
        let mut record = record.to_vec();
        // A kind, mostly: there are few.
        if let Some([first, others @ ..]) = record.get_mut(..4) {
            *first %= u8::try_from(KINDS).unwrap_or(u8::MAX).saturating_add(1);
            others.fill(0);
        }
        let Ok(record) = decode::decode(&record) else { continue };
        if let Some(task) = &record.event.task {
            assert!(!task.comm.contains('\0') && task.comm.chars().count() <= 16);
        }
        let now_ns = record.event.boot_ns;
        order.set_total_lost(now_ns, record.seq);
        order.push(Stamped { cpu: record.cpu, seq: record.seq, event: record.event });
        given += 1;
        while let Some(event) = order.pop_ready(now_ns) {
            take(event);
        }
    }
    order.flush().into_iter().for_each(&mut take);
    assert_eq!(taken, given, "an event for each record");
}

/// A tracepoint's `format` file.
pub fn tracefs(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let format = Format::parse("sched/sched_process_fork", &text);
    // Each word once: the same words come again and again.
    let words = text.split([' ', ';', '[', '*', '\t', '\n']);
    for word in words.collect::<std::collections::BTreeSet<_>>() {
        let found = format.offset(word);
        assert!(found.is_err() || !word.is_empty(), "a field without a name");
    }
    assert!(format.offset("").is_err(), "a field without a name");
}

/// A log as it is, in parts: read, checked, and reported.
pub fn log(data: &[u8]) {
    let mut parts = vec![Vec::new()];
    let mut rest = data;
    while let Some((byte, after)) = rest.split_first() {
        if let Some(next) = rest.strip_prefix(PART).filter(|_| parts.len() < 4) {
            parts.push(Vec::new());
            rest = next;
        } else {
            if let Some(part) = parts.last_mut() {
                part.push(*byte);
            }
            rest = after;
        }
    }
    read(&parts);
    reported(&parts, data.len() as u64);
}

/// A log that is mostly one, made by a recipe: read, checked, and reported.
pub fn replay(data: &[u8]) {
    let (parts, other) = log_mutator::log(data);
    if other & 7 == 1 {
        read(&parts);
    }
    reported(&parts, other);
}

/// Reports the parts of a log.
fn reported(parts: &[Vec<u8>], choice: u64) {
    let reported = fuzzed::report(parts, choice);
    checks::terminal(reported.failure.as_bytes(), false);
    checks::terminal(&reported.text, reported.color);
    checks::terminal(&reported.json, false);
}

/// Reads and checks the parts of a log.
fn read(parts: &[Vec<u8>]) {
    let mut checker = Checker::default();
    for part in parts {
        let Ok(input) = Input::new(part.as_slice()) else { return };
        let mut reader = Reader::new(input);
        checker.begin();
        let (mut taken, mut bad) = (0, 0);
        while let Some(line) = reader.next() {
            match line {
                Ok(line) => {
                    taken += 1;
                    checker.line(reader.line(), &line);
                }
                Err(error) => {
                    bad += 1;
                    checks::terminal(error.to_string().as_bytes(), false);
                }
            }
        }
        checker.end(reader.line());
        assert_eq!(reader.summary().lines, taken);
        // What is no beginning is an error and may be a line all the same.
        assert!(reader.summary().bad <= bad);
    }
}

//! The table of rooms: which other rooms of its crate each room may use.
//!
//! A room is a module directly under the crate's root, with everything in its folder. The table lists
//! rooms in the order in which they build on each other, so a room may only use rooms above it.
//! `cargo xtask structure` checks the code against the table (`directions.rs`). Two things may use
//! every room: code that only tests build, and the root (`lib.rs`), which puts the rooms together. A
//! room names the other room (`crate::event::Event`), not what the root exports of it.

/// A crate whose rooms are checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crate {
    /// Its folder.
    pub(super) folder: &'static str,
    /// Items of the crate's root that every room may use.
    pub(super) root: &'static [&'static str],
    /// Each room, and those above it that it may use.
    pub(super) rooms: &'static [(&'static str, &'static [&'static str])],
    /// Directions that are wrong, and still there: a room, and one that it uses.
    pub(super) wrong: &'static [(&'static str, &'static str)],
}

#[rustfmt::skip]
pub(super) static CRATES: &[Crate] = &[
    Crate {
        folder: "crates/forktrace-model",
        root: &[],
        rooms: &[
            ("arch", &[]),
            ("json_number", &[]),
            ("text", &[]),
            ("futex_op", &[]),
            ("event", &["arch", "json_number"]),
            ("frames", &["event"]),
            ("buffers", &["event"]),
            ("generators", &["event"]),
            ("locks", &["arch", "json_number", "event"]),
            ("model", &["arch", "event"]),
            ("finding", &["json_number", "event", "locks"]),
            ("hazards", &["arch", "event", "frames", "locks", "model", "finding"]),
            ("judge", &["event", "model", "finding", "hazards"]),
            ("triage", &["event", "model", "finding", "hazards"]),
        ],
        wrong: &[],
    },
    Crate {
        folder: "crates/forktrace-log",
        root: &["FINDING", "SCHEMA"],
        rooms: &[
            ("finding_line", &[]),
            ("input", &[]),
            ("reader", &["finding_line"]),
            ("check", &["reader"]),
            ("schema", &["finding_line"]),
            ("writer", &["finding_line"]),
            ("file", &[]),
            ("part", &[]),
            ("name", &["part"]),
            ("recorder", &["finding_line", "writer", "file", "part", "name"]),
        ],
        wrong: &[],
    },
    Crate {
        folder: "crates/forktrace-collect",
        root: &[],
        rooms: &[
            ("arch", &[]),
            ("clock", &[]),
            ("decode", &[]),
            ("reorder", &[]),
            ("inspect", &["arch", "clock"]),
            ("kernel", &["arch", "clock", "inspect"]),
            ("doctor", &["arch", "inspect", "kernel"]),
            ("engine", &["arch", "clock", "decode", "reorder", "inspect", "kernel"]),
        ],
        wrong: &[],
    },
    Crate {
        folder: "forktrace",
        root: &[],
        rooms: &[
            ("pipeline", &[]),
            ("report", &["pipeline"]),
            ("export", &["pipeline", "report"]),
            ("top", &["pipeline", "report"]),
            ("resident", &[]),
            ("serve", &["pipeline", "report", "resident"]),
            ("cli", &["pipeline", "report", "export", "top", "resident", "serve"]),
            ("fuzzing", &["pipeline", "report", "export", "top", "cli"]),
        ],
        wrong: &[],
    },
];

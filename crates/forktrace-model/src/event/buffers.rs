//! Buffers with text that was not written yet when a fork copied them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json_number;

/// Buffers that a forked process inherited with something in them, and what became of that. The event's task
/// is the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Buffers {
    /// The buffers, by address.
    pub found: Vec<Buffer>,
    /// The process is ending; it ran the code that only `exit()` runs, or return from `main`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exits: bool,
    /// The process is ending.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// Not all pages that the process has written were searched: there were too many.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// One buffer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Buffer {
    /// Whose.
    pub kind: BufferKind,
    /// Address of the stream or object.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// How many bytes were not written at the fork.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub bytes: u64,
    /// The descriptor that it writes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
    /// What the descriptor is of, as the kernel tells it: `/var/log/app.log`, `pipe:[4711]`. A path is chosen
    /// by the traced program: hostile until sanitised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The processes that had it at the fork and what each did with it; the event's own first.
    pub sides: Vec<BufferSide>,
}

/// A process that had a buffer at the fork.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BufferSide {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// What became of the bytes.
    pub state: BufferState,
}

/// What a process did with what was in a buffer at the fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BufferState {
    /// Nothing: it is there as at the fork.
    Same,
    /// The process wrote to the page of the buffer's object, and more is not known.
    Touched,
    /// It is there, and more behind it.
    Added,
    /// It is no longer there: it was written, or thrown away.
    Emptied,
    /// It was written: by the function that writes a buffer, or by `exit()`.
    Written,
    /// It is not known: the process has gone, or the buffer is another one by now, or writes to another file.
    /// Also what only a later version knows.
    #[serde(other)]
    Unknown,
}

/// Whose buffer it is; in the log in kebab case, of a later version perhaps an unknown one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum BufferKind {
    /// A `FILE` of glibc.
    Glibc,
    /// A `FILE` of musl.
    Musl,
    /// A file of Python in text mode, `io.TextIOWrapper`.
    PythonText,
    /// A binary file of Python, `io.BufferedWriter`.
    PythonBytes,
    /// One that a later version knows.
    #[serde(other)]
    Unknown,
}

impl BufferKind {
    /// All that are known.
    pub const ALL: &[BufferKind] =
        &[BufferKind::Glibc, BufferKind::Musl, BufferKind::PythonText, BufferKind::PythonBytes];

    /// Its name in the log.
    pub fn id(self) -> &'static str {
        match self {
            BufferKind::Glibc => "glibc",
            BufferKind::Musl => "musl",
            BufferKind::PythonText => "python-text",
            BufferKind::PythonBytes => "python-bytes",
            BufferKind::Unknown => "unknown",
        }
    }
}

impl fmt::Display for BufferKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BufferKind::Glibc => "FILE of glibc",
            BufferKind::Musl => "FILE of musl",
            BufferKind::PythonText => "Python text file (io.TextIOWrapper)",
            BufferKind::PythonBytes => "Python binary file (io.BufferedWriter)",
            BufferKind::Unknown => "buffer",
        })
    }
}

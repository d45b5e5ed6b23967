//! The event log, schema 1 (SCHEMA.md): JSON lines, written and read back.
//!
//! [`Writer`] turns events and findings into lines, [`Reader`] turns lines into what was written.
//! A log is hostile input: no line, however broken, may do more than cost itself.

mod check;
mod file;
mod finding_line;
mod input;
mod name;
mod part;
mod reader;
mod recorder;
mod schema;
mod writer;

#[cfg(test)]
mod tests;

pub use check::{Checker, Problem};
pub use file::open_for_writing;
pub use finding_line::{FindingLine, LockLine, ProofLine, WaitLine};
pub use input::{Damage, Input};
pub use name::format;
pub use part::{Format, Part};
pub use reader::{Cause, Gap, Line, LineKind, MAX_LINE, ReadError, Reader, Summary};
pub use recorder::{Carried, Recorder, Rotation, Totals};
pub use schema::schema;
pub use writer::{Identity, Writer, proc_uid};

/// The version of the log's format that is written, and the newest that is read.
pub const SCHEMA: u64 = 1;

/// Value of `type` in the lines that carry a [`FindingLine`].
pub const FINDING: &str = "finding";

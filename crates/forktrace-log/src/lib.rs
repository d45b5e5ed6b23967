//! The event log, schema 1 (SCHEMA.md): JSON lines, written and read back.
//!
//! [`Writer`] turns events and findings into lines, [`Reader`] turns lines into what was written.
//! A log is hostile input: no line, however broken, may do more than cost itself.
//!
//! A program that reads logs needs this crate and [`forktrace_model`], and neither root nor a kernel.
//! This judges a recorded log again:
//!
//! ```
//! use forktrace_log::{Input, LineKind, Reader};
//! use forktrace_model::{finding::HazardId, judge::Judge, model::Model};
//!
//! let log = include_bytes!("../examples/hang.jsonl").as_slice();
//! let (mut model, mut judge) = (Model::default(), Judge::default());
//! for line in Reader::new(Input::new(log)?) {
//!     if let LineKind::Event(event) = line?.kind {
//!         model.apply(&event);
//!         judge.apply(&event, &model);
//!     }
//! }
//! let [judged] = judge.findings() else { panic!("one child hangs") };
//! let finding = &judged.finding;
//! assert_eq!(finding.hazard, HazardId::InheritedLock);
//! assert_eq!(finding.lock().map(|lock| lock.family.name), Some("glibc mutex"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

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
pub use finding_line::{FindingLine, LockLine, ProofLine, StallLine, WaitLine};
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

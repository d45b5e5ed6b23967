//! The `forktrace` command: reports, exports and the command line.
//!
//! The crates, and which way they depend: `forktrace_model` is pure (events, process tree, judge),
//! `forktrace_log` reads and writes the event log, `forktrace_collect` watches a live host, and this
//! crate judges every event on one way ([`pipeline`]), prints ([`report`]), converts ([`export`]) and puts
//! it together ([`cli`]).

pub mod cli;
pub mod export;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod pipeline;
pub mod report;
mod resident;
#[cfg(feature = "serve")]
pub mod serve;
#[cfg(feature = "top")]
pub mod top;

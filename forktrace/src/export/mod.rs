//! Other programs' formats: what a log tells, converted.
//!
//! A log's events go through the same [`Pipeline`](crate::pipeline::Pipeline) as those of a live trace
//! and of `report`, so that an export can never say something else. Tables are written from it event
//! by event; pictures are drawn from a [`Timeline`], which is gathered in one pass and then stays as it
//! is.

mod ancestors;
pub mod csv;
pub mod dot;
pub mod html;
mod layout;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod perfetto;
pub mod sarif;
mod spans;
pub mod svg;
pub mod table;
pub mod timeline;
mod words;

pub use timeline::{Timeline, TimelineBuilder};

//! Text for people: lifecycle lines, HANG blocks and the summary, written to any `impl Write`.
//!
//! Names, paths and functions come from the traced programs and may contain control characters. Each
//! is passed through [`sanitize`] before it is printed.

pub mod advice;
mod bars;
pub mod brief;
mod buffers;
mod calls;
pub mod caveats;
#[cfg(feature = "top")]
pub(crate) mod cells;
mod clock;
pub mod doctor;
mod file_lock;
mod file_lock_advice;
pub mod filter;
mod flood;
mod generators;
pub mod hang;
pub mod hazards;
pub mod lock_words;
pub mod logged;
mod lost_work;
pub(crate) mod places;
#[cfg(feature = "top")]
pub(crate) mod process;
pub mod proofs;
mod python;
pub mod reasons;
mod shared;
mod shared_advice;
mod shared_files;
mod siblings;
mod size;
pub(crate) mod stacks;
mod stall;
mod stuck;
mod style;
pub mod summary;
pub mod text;
mod threads;
#[cfg(feature = "top")]
pub(crate) mod top;
mod tree;
pub mod unjudged;
mod unobserved_fork;

#[cfg(test)]
mod tests;

pub use clock::Clock;
pub use forktrace_model::text::{count, duration, plural, sanitize};
pub(crate) use forktrace_model::{
    futex_op::wait_op,
    text::{rounded_up, wrap},
};
pub(crate) use siblings::{First, Shown};
pub use size::bytes;
pub use style::Style;
#[cfg(feature = "top")]
pub(crate) use tree::below;
pub(crate) use tree::cut_circles;

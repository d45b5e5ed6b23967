//! What people read: lifecycle lines, HANG blocks, the summary. Everything is over `impl Write`.
//!
//! Names, paths and functions come from the traced programs and may hold anything: each goes
//! through [`sanitize`] before it is printed.

mod bars;
mod clock;
pub mod doctor;
pub mod hang;
mod kinds;
mod late;
pub(crate) mod native;
pub mod ops;
mod python;
mod siblings;
mod style;
pub mod summary;
pub mod text;
mod tree;

#[cfg(test)]
mod tests;

pub use clock::{Clock, count, duration, plural};
pub(crate) use siblings::{First, Shown};
pub(crate) use style::is_hostile;
pub(crate) use style::wrap;
pub use style::{Style, sanitize};
pub(crate) use tree::cut_circles;

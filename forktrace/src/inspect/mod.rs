//! What a living process can still tell, read without stopping it.
//!
//! Everything here may be gone or changed by the time it is read: a process that vanished gives
//! `None`, a word that cannot be read is left out, and what was read becomes an event that is
//! recorded, so that a replay judges the same bytes.

pub mod evidence;
mod memory;
mod processes;
pub mod python;
mod threads;

pub use evidence::Inherited;
pub use processes::{all, is_process, snapshot, tree};

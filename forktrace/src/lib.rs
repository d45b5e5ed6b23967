//! forktrace finds the child process that hangs on a lock it inherited held across `fork`.
//!
//! The rooms, and which way they depend: [`kernel`] and [`inspect`] make [`event::Event`]s from a
//! live host, [`log`] from a file; [`model`] rebuilds the process tree from them, [`verdict`]
//! judges, [`report`] prints, [`export`] converts, [`cli`] puts it together. Nothing pure depends on the kernel.

pub mod check;
pub mod cli;
pub mod decode;
pub mod event;
pub mod export;
pub mod finding;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod inspect;
pub mod kernel;
pub mod locks;
pub mod log;
pub mod model;
pub mod num;
pub mod order;
pub mod report;
pub mod verdict;

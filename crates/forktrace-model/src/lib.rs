//! What happened to a forked process, and whether it can ever go on: pure, without a kernel, a clock
//! or files.
//!
//! [`event`]s come from a live kernel or from a recorded log; [`model`] rebuilds the process tree from
//! them, [`locks`] reads the bytes around a futex word, [`hazards`] say
//! what is wrong, and [`judge`] keeps the [`finding`]s; [`triage`] says what more to read of a process.
//! What differs between processors is in [`arch`].

pub mod arch;
pub mod event;
pub mod finding;
pub mod frames;
pub mod futex_op;
pub mod hazards;
pub mod json_number;
pub mod judge;
pub mod locks;
pub mod model;
pub mod text;
pub mod triage;

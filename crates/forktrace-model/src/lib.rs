//! What happened to a forked process, and whether it can ever go on: pure, without a kernel, a clock
//! or files.
//!
//! [`event`]s come from a live kernel or from a recorded log; [`model`] rebuilds the process tree from
//! them, [`locks`] reads the bytes around a futex word, [`hazards`] say
//! what is wrong, and [`judge`] keeps the [`finding`]s; [`triage`] says what more to read of a process; [`generators`] finds random number
//! generators in its memory, [`buffers`] text that was not written yet.
//! What differs between processors is in [`arch`].
//!
//! Events go into the [`model::Model`] first, then to the [`judge::Judge`]:
//!
//! ```
//! use forktrace_model::{
//!     event::{Body, Event, ProcessFork, Task},
//!     judge::Judge,
//!     model::Model,
//! };
//!
//! let task = Task { pid: 100, tid: 100, comm: "server".into() };
//! let fork = ProcessFork { child_pid: 200, clone_flags: 17 };
//! let event = Event { boot_ns: 1_000, task: Some(task), body: Body::ProcessFork(fork) };
//!
//! let (mut model, mut judge) = (Model::default(), Judge::default());
//! model.apply(&event);
//! assert_eq!(judge.apply(&event, &model), None, "a fork alone is no hazard");
//! let child = model.live(200).expect("the child lives");
//! assert_eq!(child.inherited().map(|fork| fork.by_pid), Some(100));
//! ```
//!
//! `forktrace_log` has an example that judges a recorded log.

pub mod arch;
pub mod buffers;
pub mod event;
pub mod finding;
pub mod frames;
pub mod futex_op;
pub mod generators;
pub mod hazards;
pub mod json_number;
pub mod judge;
pub mod locks;
pub mod model;
pub mod text;
pub mod triage;

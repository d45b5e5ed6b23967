//! Tasks that wait for each other, or for somebody who is gone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    event::{
        PythonFrame, Task,
        stacks::Frame,
        stall::{ThingKind, Way},
    },
    json_number,
};

/// What a finding tells of a task whose wait nobody can end, whatever the call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StallDetail {
    /// How long it is known to have been waiting when this was judged, ns.
    pub waited_ns: u64,
    /// Who waits for whom, from the stuck task on.
    pub chain: Vec<Link>,
    /// Python frames of the task, innermost first.
    pub python: Vec<PythonFrame>,
    /// Why there are no Python frames, when there are none.
    pub python_missing: Option<String>,
    /// Native frames of the task, innermost first.
    pub stack: Vec<Frame>,
    /// Why native callers may be missing.
    pub stack_cut: Option<String>,
}

/// A task that waits, and on whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// The task.
    pub task: Task,
    /// Number of the system call that it is in.
    pub call: u64,
    /// Since when it is known to be in it, `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub since_ns: u64,
    /// What it waits for.
    pub thing: ThingKind,
    /// Name of that: `pipe:[4026]`, a path, or empty.
    pub name: String,
    /// Its file descriptor of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
    /// What that would have to do.
    pub way: Way,
    /// The processes that could do it.
    pub by: Vec<u32>,
    /// The task that had it and is gone, where that is known: a lock's owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<u32>,
}

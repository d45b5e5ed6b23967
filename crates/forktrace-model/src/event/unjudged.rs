//! Waits that were not judged, by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Doing, PythonFrame, stacks::Frame};
use crate::json_number;

/// A wait of a forked child about which nothing can be said, told when the trace ends. The event's task
/// is the thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UnjudgedWait {
    /// The call that the thread is in.
    pub doing: Doing,
    /// Since when it is known to be in it, `CLOCK_BOOTTIME`, ns; 0: not known.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub since_ns: u64,
    /// Why nothing can be said.
    pub why: Unjudged,
    /// The innermost native frame that is the program's own; `None`: not known, or there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<Frame>,
    /// The innermost frame of Python that is the program's own, or else the innermost; `None`: not known, or there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<PythonFrame>,
    /// The thread does something else by now: what was told of it in an earlier line counts no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
}

/// Why nothing can be said about a wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unjudged {
    /// It was not sampled to the end when tracing stopped.
    #[default]
    NotSampled,
    /// The same: a signal had interrupted it, or the process was stopped in it.
    Interrupted,
    /// It ended with its thread before it had been sampled to the end.
    Gone,
    /// Something denied access to the process.
    Denied,
    /// The fork was not seen, and what was held then is not known.
    ForkUnseen,
    /// What the word belongs to is not known.
    UnknownLock,
    /// The memory of the word could not be read, or another process runs in it.
    Unreadable,
    /// The lock may have been held at the fork: nothing proves it, and nothing excludes it.
    Undecided,
    /// It is for nothing that was held at the fork, but nobody was seen who could end it.
    NobodySeen,
    /// Who could end it could not be read.
    WakersUnknown,
    /// It is no wait: the thread uses a CPU all the time, in one loop.
    Busy,
    /// It has run into its timeout and begun again, and nobody is left who could end it: that had not gone on
    /// for long enough.
    Polls,
    /// The thread is stopped, and nobody has continued it.
    Stopped,
}

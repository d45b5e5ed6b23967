//! What a log carries over from its earlier parts, so that each part can be read alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ThreadName;
use crate::json_number;

/// What is known of a process from the events before its `process.snapshot` line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Known {
    /// From when its life is counted, `CLOCK_BOOTTIME`, ns; 0: not known.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub began_ns: u64,
    /// The fork that made it, and those through which its memory had come before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<KnownFork>,
    /// There were earlier forks than these.
    #[serde(default)]
    pub forks_cut: bool,
    /// Its latest exec.
    #[serde(default)]
    pub exec: Option<KnownExec>,
    /// It has had another thread.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub had_threads: bool,
    /// Events about it may have been lost.
    #[serde(default)]
    pub incomplete: bool,
    /// It was looked at again since.
    #[serde(default)]
    pub resynced: bool,
    /// From when on all of its threads are known, `CLOCK_BOOTTIME`, ns; `None`: not yet.
    #[serde(with = "json_number::opt", default)]
    #[schemars(with = "Option<json_number::Number>")]
    pub threads_known_ns: Option<u64>,
    /// Its threads, by their start.
    #[serde(default)]
    pub threads: Vec<KnownThread>,
}

/// A fork in the events before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnownFork {
    /// `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub boot_ns: u64,
    /// The process that forked.
    pub by_pid: u32,
    /// The thread that forked.
    pub by_tid: u32,
    /// That thread's name.
    pub by_comm: String,
    /// Whether that process is alive.
    pub by_alive: bool,
    /// See [`forktrace_common::clone_flags`].
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub clone_flags: u64,
    /// Its other threads at that instant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<ThreadName>,
    /// Whether these are all.
    pub lost_known: bool,
}

/// An exec in the events before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnownExec {
    /// `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub boot_ns: u64,
    /// Path as given to exec.
    pub filename: String,
}

/// A living thread in the events before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnownThread {
    /// The thread.
    pub tid: u32,
    /// `CLOCK_BOOTTIME` of its start, ns; 0: before the trace.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub start_ns: u64,
}

//! Where a trace comes from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{arch::Machine, json_number};

/// Where a trace comes from and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceStart {
    /// Version of forktrace.
    pub version: String,
    /// The tracer's own command line.
    pub command: Vec<String>,
    /// Kernel release, as `uname -r`.
    pub kernel: String,
    /// Processor, as `uname -m`; logs of forktrace 0.1 do not name it, and are of `x86_64`.
    #[serde(default = "default_arch")]
    pub arch: String,
    /// Size of a page, bytes; logs of forktrace 0.1 do not name it, and have 4096.
    #[serde(default = "default_page_size")]
    pub page_size: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME` at the start, ns.
    #[serde(with = "json_number::signed")]
    #[schemars(with = "json_number::Number")]
    pub clock_offset_ns: i64,
    /// Waits at least this long are recorded and judged, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub min_wait_ns: u64,
    /// Which processes are traced, in words.
    pub filter: String,
    /// Processes that were asked for by their pid: suspects about them are shown where nobody is
    /// left in them who could go on.
    #[serde(default)]
    pub asked: Box<[u32]>,
    /// Whether pages were kept as children inherited them.
    pub snapshots: bool,
    /// No futex call was watched: blocked threads were found by looking now and then (without `--exact`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lean: bool,
    /// Waits in every system call were looked at; logs of forktrace 0.1 do not have it, and tell of futex
    /// waits alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calls: bool,
    /// It was seen who uses a connection; logs before 0.3 do not have it, and tell of none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub connections: bool,
    /// It was seen who acts on a lock on a file; logs before 0.3 do not have it, and tell of none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub file_locks: bool,
    /// Byte offsets used to read tracepoints, by `event.field`.
    pub offsets: std::collections::BTreeMap<String, u32>,
    /// Names the trace, the same in all of its parts; empty: not told.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// Which part of the trace this file is, from 1; 0: the only one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub part: u32,
    /// How many lines after this one repeat what was known at the end of the part before.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub carried: u32,
}

impl TraceStart {
    /// The machine that was traced.
    pub fn machine(&self) -> Machine {
        Machine::new(&self.arch, self.page_size)
    }
}

impl Default for TraceStart {
    fn default() -> Self {
        TraceStart {
            version: String::new(),
            command: Vec::new(),
            kernel: String::new(),
            arch: default_arch(),
            page_size: default_page_size(),
            boot_id: String::new(),
            clock_offset_ns: 0,
            min_wait_ns: 0,
            filter: String::new(),
            asked: Box::default(),
            snapshots: false,
            lean: false,
            calls: false,
            connections: false,
            file_locks: false,
            offsets: std::collections::BTreeMap::new(),
            trace_id: String::new(),
            part: 0,
            carried: 0,
        }
    }
}

fn default_arch() -> String {
    Machine::default().arch.name.into()
}

fn default_page_size() -> u64 {
    Machine::default().page_size
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

//! What a log tells, as one value: the material of every picture of it.
//!
//! Times are `CLOCK_BOOTTIME` in ns unless said otherwise; in JSON they are plain numbers, which a
//! JavaScript reader has exact to a few ns on a host that is up for years. Names and paths come from
//! the traced programs: whoever shows them has to escape them. Processes and threads refer to each
//! other by their place in [`Timeline::processes`] and [`Timeline::threads`].

mod builder;
mod lives;
#[cfg(test)]
mod tests;
mod waits;

pub use builder::{LogEnd, TimelineBuilder};

use crate::{pipeline::conclusion::Coverage, report::logged};
use std::collections::BTreeMap;

use serde::Serialize;

use forktrace_model::{event::ThreadedForks, finding::Finding, json_number, model::Counts};

/// The most names that are kept of one process. A program may rename itself without end.
pub const MAX_NAMES: usize = 64;
/// The most threads, execs, waits and losses that are kept, each. What is beyond is counted in
/// [`Timeline::left_out`].
pub const MAX_ITEMS: usize = 1_000_000;

/// All that a log tells.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timeline {
    /// The trace itself.
    pub trace: Trace,
    /// Totals.
    pub counts: Counts,
    /// Processes in the order of their appearance; each one's `id` is its place.
    pub processes: Vec<Process>,
    /// Threads in the order of their appearance, main threads included.
    pub threads: Vec<Thread>,
    /// Forks that were seen, by time.
    pub forks: Vec<Fork>,
    /// Programs replaced, by time.
    pub execs: Vec<Exec>,
    /// Long futex waits, by the time of their first event.
    pub waits: Vec<Wait>,
    /// Losses of events, by time.
    pub losses: Vec<Loss>,
    /// Findings in the order of their discovery: those of `report`, suspects included.
    pub findings: Vec<Found>,
    /// How many items were left out because there were too many, by kind (`threads`, `waits`, …);
    /// empty: none.
    pub left_out: BTreeMap<&'static str, u64>,
}

impl Timeline {
    /// The findings that are shown, with their places; `suspects`: all of them.
    pub fn shown(&self, suspects: bool) -> impl Iterator<Item = (usize, &Found)> {
        let all = self.findings.iter().enumerate();
        all.filter(move |(_, found)| suspects || found.shown)
    }
}

/// Where the log comes from.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Trace {
    /// Version of the forktrace that recorded it.
    pub version: String,
    /// Its command line.
    pub command: Vec<String>,
    /// Kernel release.
    pub kernel: String,
    /// Boot id.
    pub boot_id: String,
    /// `CLOCK_REALTIME` minus `CLOCK_BOOTTIME`, ns: added to any time here it gives UTC.
    pub clock_offset_ns: i64,
    /// Which processes were traced, in words.
    pub filter: String,
    /// Waits at least this long were recorded, ns.
    pub min_wait_ns: u64,
    /// Whether pages were kept as children inherited them.
    pub snapshots: bool,
    /// Time of the first line.
    pub start_ns: u64,
    /// Time of the last event.
    pub end_ns: u64,
    /// Why it ended (`interrupted`, `duration`, …); `None`: the log was cut off.
    pub end_reason: Option<String>,
    /// Events lost in all.
    pub lost: u64,
    /// What makes the result incomplete, a sentence each; the same as `report` says.
    pub shortfalls: Vec<String>,
    /// What was accounted for.
    #[serde(skip)]
    pub coverage: Coverage,
    /// The processes that forked beside other threads.
    pub threaded_forks: Vec<ThreadedForks>,
}

/// One process.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Process {
    /// Its place in [`Timeline::processes`].
    pub id: u32,
    /// Process id in the initial pid namespace. May be used by several processes of a story.
    pub pid: u32,
    /// The pid inside its own pid namespace, where known and different.
    pub ns_pid: Option<u32>,
    /// Stable identity in every log of one boot, see [`forktrace_log::proc_uid`].
    pub proc_uid: String,
    /// Its first known parent's pid; 0: not known.
    pub ppid: u32,
    /// Its first known parent, where that is a process of the trace.
    pub parent: Option<u32>,
    /// The process under which it is drawn: the one that forked it, otherwise its parent. Free of
    /// circles.
    pub above: Option<u32>,
    /// Its last known name.
    pub comm: String,
    /// Its names in their order, at most [`MAX_NAMES`].
    pub names: Vec<Name>,
    /// Path of its program as `/proc` showed it, where it was looked at.
    pub exe: Option<String>,
    /// How it came into the trace.
    pub origin: Origin,
    /// From when on its life is counted; 0: not known.
    pub began_ns: u64,
    /// Its end; `None`: it still ran when the log ended.
    pub ended_ns: Option<u64>,
    /// How the end is known; `None`: there is none.
    pub end: Option<End>,
    /// Events that may have been about it were lost.
    pub incomplete: bool,
}

/// A name of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Name {
    /// Since when it is known under it.
    pub since_ns: u64,
    /// The name: of its main thread.
    pub comm: String,
    /// The program that was exec'ed, where this is why the name changed. It may be empty.
    pub filename: Option<String>,
}

/// How a process came into the trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Its fork was seen.
    Fork,
    /// It was alive when tracing began, or when it was looked at after a loss.
    Snapshot,
    /// Only from events about it: neither fork nor snapshot is in the log.
    #[default]
    Mention,
}

/// How the end of a process or thread is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The kernel said so.
    Exit,
    /// Its last known thread ended (kernels before 6.16 do not say more).
    LastThread,
    /// It was no longer there when everything was looked at again after a loss: it ended before.
    GoneAtResync,
    /// Its number was given to another task: it ended before.
    NumberUsedAgain,
    /// Of a thread: another one exec'ed.
    Exec,
    /// Of a thread: its process ended.
    WithProcess,
}

/// One thread.
#[derive(Clone, Debug, Serialize)]
pub struct Thread {
    /// Its process.
    pub process: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// Its last known name.
    pub comm: String,
    /// Its start; 0: before it was first seen.
    pub began_ns: u64,
    /// Its end; `None`: not seen.
    pub ended_ns: Option<u64>,
    /// How the end is known.
    pub end: Option<End>,
}

/// A fork that was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Fork {
    /// When.
    pub boot_ns: u64,
    /// The process that forked.
    pub parent: Option<u32>,
    /// Its pid.
    pub by_pid: u32,
    /// The thread that forked.
    pub by_tid: u32,
    /// That thread's name.
    pub by_comm: String,
    /// The new process.
    pub child: u32,
    /// Whether the child has a copy of the memory; otherwise it runs in its creator's (vfork,
    /// posix_spawn).
    pub copies_memory: bool,
    /// Threads of the forking process that the child does not have.
    pub threads_lost: u32,
    /// Whether these are all.
    pub threads_lost_known: bool,
}

/// A program replaced.
#[derive(Clone, Debug, Serialize)]
pub struct Exec {
    /// When.
    pub boot_ns: u64,
    /// The process.
    pub process: u32,
    /// The thread that called exec.
    pub by_tid: u32,
    /// Path as given to exec, at most 255 bytes; empty: it could not be read.
    pub filename: String,
}

/// A long futex wait: a slice of time.
#[derive(Clone, Debug, Serialize)]
pub struct Wait {
    /// The process.
    pub process: u32,
    /// The waiting thread.
    pub tid: u32,
    /// Its place in [`Timeline::threads`].
    pub thread: Option<u32>,
    /// Its beginning. With `since_before`, it was found in this wait then.
    pub enter_ns: u64,
    /// The wait had begun before tracing did, at an unknown time.
    pub since_before: bool,
    /// Without `--exact`: it began after this and before `enter_ns`.
    pub not_before_ns: Option<u64>,
    /// When it was over; `None`: it went on when the log ended.
    pub end_ns: Option<u64>,
    /// How it ended.
    pub end: WaitEnd,
    /// Address of the futex word.
    #[serde(with = "json_number::hex")]
    pub uaddr: u64,
    /// The operation by the kernel's names: `WAIT_BITSET private realtime`.
    pub op: String,
    /// Whether it ends by itself.
    pub timed: bool,
    /// What the system call returned, where it did: 0, or minus an errno.
    pub result: Option<i64>,
    /// The finding about it: place in [`Timeline::findings`].
    pub finding: Option<u32>,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitEnd {
    /// It did not.
    Open,
    /// The system call returned.
    Returned,
    /// The thread ended in it: killed, most likely.
    ThreadEnded,
    /// It was over by `end_ns`: the thread did something else then. When exactly it ended is not in
    /// the log.
    Unseen,
}

/// Events that were lost.
#[derive(Clone, Debug, Serialize)]
pub struct Loss {
    /// At about this time.
    pub boot_ns: u64,
    /// How many.
    pub count: u64,
    /// The same by kind.
    pub by_kind: BTreeMap<String, u64>,
}

/// A finding and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// The finding in its strongest form, as in `finding` lines (SCHEMA.md).
    #[serde(serialize_with = "as_line")]
    pub finding: Finding,
    /// The stuck process.
    pub process: u32,
    /// The stuck thread: place in [`Timeline::threads`].
    pub thread: Option<u32>,
    /// The thread that held the lock at the fork, where it is known and in the trace.
    pub holder_thread: Option<u32>,
    /// When it was first made.
    pub first_ns: u64,
    /// When it was made in this form.
    pub boot_ns: u64,
    /// Since when the task had waited then.
    pub waits_since_ns: u64,
    /// When the wait was over after all, or the task ended in it; `None`: it went on when the log
    /// ended.
    pub end_ns: Option<u64>,
    /// How it ended.
    pub end: WaitEnd,
    /// Whether `report` shows it without being asked for suspects.
    pub shown: bool,
}

fn as_line<S: serde::Serializer>(finding: &Finding, serializer: S) -> Result<S::Ok, S::Error> {
    logged::line(finding).serialize(serializer)
}

//! The one currency of the collector: what happened, as recorded or replayed.
//!
//! An [`Event`] comes from the ring buffer, from `/proc` or from a recorded log, and everything
//! after that (model, verdict, reports) sees no difference. The serde names are those of the event
//! log (SCHEMA.md); a change here is a change of the schema.

mod buffers;
mod evidence;
mod exit;
mod file_lock;
mod file_use;
mod generators;
mod known;
mod lock_facts;
mod lost_threads;
mod socket_use;
pub mod stacks;
pub mod stall;
mod trace_end;
mod trace_start;
mod unjudged;
mod unobserved_fork;

pub use buffers::{Buffer, BufferKind, BufferSide, BufferState, Buffers};
pub use evidence::{
    AtFork, Doing, Evidence, Libc, Mapping, Missing, Module, OwnerThread, Place, Python,
    PythonFrame, ThreadSample, Window,
};
pub use exit::{Ended, ProcessExit, ThreadExit};
pub use file_lock::{
    BlockedSignals, FileLock, LockAct, LockLook, LockOpener, LockSort, PendingSignal, TakenLock,
};
pub use file_use::{FileClass, FileHolder, FileUse, WatchedFile};
pub use generators::{Generator, GeneratorKind, GeneratorSide, Generators};
pub use known::{Known, KnownExec, KnownFork, KnownThread};
pub use lock_facts::{
    FirstWrite, FirstWrites, Hold, KeptMethod, LockUse, Probed, PythonLock, PythonThread, RLOCK,
    Waiter,
};
pub use lost_threads::{HeldLock, LostThread, LostThreads, LostWord, OtherThread, ThreadedForks};
pub use socket_use::{PeerEnd, SocketFamily, SocketUse, SocketUser};
pub use stall::Stall;
pub use trace_end::{Counter, EndReason, Rotated, TraceConclusion};
pub use trace_start::TraceStart;
pub use unjudged::{Unjudged, UnjudgedWait};
pub use unobserved_fork::{Learnt, Relative, RelativeThread, UnobservedFork, is_older};

use forktrace_common::futex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json_number;

/// Something that happened to a task, or to the trace itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `CLOCK_BOOTTIME`, ns.
    pub boot_ns: u64,
    /// The task it happened to; `None` for events about the trace itself.
    pub task: Option<Task>,
    /// What happened.
    pub body: Body,
}

/// Names a task as the kernel does, in the initial pid namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// Thread group id: the process.
    pub pid: u32,
    /// The task itself.
    pub tid: u32,
    /// The task's name, at most 15 bytes. Chosen by the traced program: hostile until sanitised.
    pub comm: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type")]
pub enum Body {
    /// First line of a log.
    #[serde(rename = "trace.start")]
    TraceStart(Box<TraceStart>),
    /// A process that was alive when the tracer attached, or when it looked again after a loss.
    #[serde(rename = "process.snapshot")]
    ProcessSnapshot(ProcessSnapshot),
    /// The task made a new process.
    #[serde(rename = "process.fork")]
    ProcessFork(ProcessFork),
    /// The task made a new thread of its own process.
    #[serde(rename = "thread.start")]
    ThreadStart(ThreadStart),
    /// The task replaced its process's program.
    #[serde(rename = "process.exec")]
    ProcessExec(ProcessExec),
    /// The task was its process's last thread and ended.
    #[serde(rename = "process.exit")]
    ProcessExit(ProcessExit),
    /// The task ended. Its process may live on.
    #[serde(rename = "thread.exit")]
    ThreadExit(ThreadExit),
    /// The task blocks, or blocked, on a futex for longer than the threshold.
    #[serde(rename = "futex.wait")]
    FutexWait(FutexWait),
    /// The task woke a futex word (only when everything is streamed).
    #[serde(rename = "futex.wake")]
    FutexWake(FutexWake),
    /// What the process of a long wait looked like while it was waiting.
    #[serde(rename = "evidence")]
    Evidence(Box<Evidence>),
    /// What a thread that does not move waits for, and who could end that.
    #[serde(rename = "stall")]
    Stall(Box<Stall>),
    /// Random number generators from which more than one process has drawn since a fork copied them.
    #[serde(rename = "generators")]
    Generators(Box<Generators>),
    /// Buffers that a fork copied with something in them that was not written yet.
    #[serde(rename = "buffers")]
    Buffers(Box<Buffers>),
    /// Something new about a connection that several processes use.
    #[serde(rename = "socket.use")]
    SocketUse(Box<SocketUse>),
    /// An act on a lock on a file that concerns several processes.
    #[serde(rename = "file.lock")]
    FileLock(Box<FileLock>),
    /// Signals that a child has blocked since its fork, and that are there for it.
    #[serde(rename = "signals.blocked")]
    BlockedSignals(Box<BlockedSignals>),
    /// Something new about a file or an epoll instance that several processes have as one.
    #[serde(rename = "file.use")]
    FileUse(Box<FileUse>),
    /// A wait about which nothing can be said.
    #[serde(rename = "wait.unjudged")]
    WaitUnjudged(Box<UnjudgedWait>),
    /// The threads that a forked child does not have, and what became of what they waited for.
    #[serde(rename = "threads.lost")]
    LostThreads(Box<LostThreads>),
    /// Events were lost before this point.
    #[serde(rename = "events.lost")]
    EventsLost(EventsLost),
    /// Every living process of the trace has been looked at again after a loss.
    #[serde(rename = "trace.resync")]
    Resync(Resync),
    /// The process runs as another user, or in another cgroup, than was told before.
    #[serde(rename = "process.owner")]
    ProcessOwner(ProcessOwner),
    /// Last line of a file whose trace goes on in another one.
    #[serde(rename = "trace.rotated")]
    Rotated(Rotated),
    /// Last line of a log.
    #[serde(rename = "trace.end")]
    TraceEnd(TraceEnd),
}

impl Body {
    /// Its `type` in the event log.
    pub fn type_name(&self) -> &'static str {
        match self {
            Body::TraceStart(_) => "trace.start",
            Body::ProcessSnapshot(_) => "process.snapshot",
            Body::ProcessFork(_) => "process.fork",
            Body::ThreadStart(_) => "thread.start",
            Body::ProcessExec(_) => "process.exec",
            Body::ProcessExit(_) => "process.exit",
            Body::ThreadExit(_) => "thread.exit",
            Body::FutexWait(_) => "futex.wait",
            Body::FutexWake(_) => "futex.wake",
            Body::Evidence(_) => "evidence",
            Body::Stall(_) => "stall",
            Body::Generators(_) => "generators",
            Body::Buffers(_) => "buffers",
            Body::SocketUse(_) => "socket.use",
            Body::FileLock(_) => "file.lock",
            Body::BlockedSignals(_) => "signals.blocked",
            Body::FileUse(_) => "file.use",
            Body::WaitUnjudged(_) => "wait.unjudged",
            Body::LostThreads(_) => "threads.lost",
            Body::EventsLost(_) => "events.lost",
            Body::Resync(_) => "trace.resync",
            Body::ProcessOwner(_) => "process.owner",
            Body::Rotated(_) => "trace.rotated",
            Body::TraceEnd(_) => "trace.end",
        }
    }

    /// How the task ended, if this is its end and that is known.
    pub fn ended(&self) -> Option<Ended> {
        match self {
            Body::ProcessExit(exit) => exit.ended,
            Body::ThreadExit(exit) => exit.ended,
            _ => None,
        }
    }
}

/// A living process as `/proc` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessSnapshot {
    /// Parent process.
    pub ppid: u32,
    /// Start of the process on `CLOCK_BOOTTIME`, ns, exact to one clock tick (10 ms).
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub start_ns: u64,
    /// Path of the program, where it may be read.
    pub exe: Option<String>,
    /// The pid inside the process's own pid namespace, where that differs.
    pub ns_pid: Option<u32>,
    /// Living threads, the leader included.
    pub threads: Vec<ThreadName>,
    /// True when taken again because events were lost.
    pub resync: bool,
    /// When the look was over, on `CLOCK_BOOTTIME`, ns. The event's own time is its beginning: of
    /// threads that ended in between nothing is known. 0: not told.
    #[serde(with = "json_number", default)]
    #[schemars(with = "json_number::Number")]
    pub read_ns: u64,
    /// True for the command that forktrace started and held back: it begins to run now.
    #[serde(default)]
    pub command: bool,
    /// Effective user id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Path in the cgroup hierarchy, as `/proc/<pid>/cgroup` shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// What was known of it already, where the line does not come from `/proc` but from the events
    /// before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Box<Known>>,
}

/// To whom a process belongs now. A field that is missing is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessOwner {
    /// Effective user id.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Path in the cgroup hierarchy, as `/proc/<pid>/cgroup` shows it.
    #[serde(default)]
    pub cgroup: Option<String>,
}

/// A thread and its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadName {
    /// The thread.
    pub tid: u32,
    /// Its name.
    pub comm: String,
}

/// A new process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessFork {
    /// The new process (its first thread has the same number).
    pub child_pid: u32,
    /// Flags of clone; see [`forktrace_common::clone_flags`].
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub clone_flags: u64,
}

/// A new thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadStart {
    /// The new thread.
    pub child_tid: u32,
    /// Flags of clone; see [`forktrace_common::clone_flags`].
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub clone_flags: u64,
}

/// A program replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessExec {
    /// The thread that called exec. It now has the process's own number.
    pub old_tid: u32,
    /// Path of the new program as given to exec, at most 255 bytes.
    pub filename: String,
}

/// A futex wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FutexWait {
    /// The wait itself.
    #[serde(flatten)]
    pub wait: Wait,
    /// `None`: still blocked at this event's time, unless it is `over`. Otherwise the system call's
    /// result.
    pub result: Option<i64>,
    /// The thread was found to be in this wait no more; how it ended was not seen (without `--exact`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
}

impl FutexWait {
    /// Whether the wait goes on at this event's time.
    pub fn goes_on(&self) -> bool {
        self.result.is_none() && !self.over
    }
}

/// What a task asked the kernel to wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Wait {
    /// `CLOCK_BOOTTIME` at system call entry, ns. With the tid, the wait's identity.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub enter_ns: u64,
    /// Address of the futex word.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub uaddr: u64,
    /// `op` with its flags; see [`forktrace_common::futex`].
    pub op: u32,
    /// Value that the word was expected to have.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub val: u64,
    /// Whether the wait ends by itself.
    pub timed: bool,
    /// The task was found in this wait: it began at an unknown time before `enter_ns`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub since_before: bool,
    /// Where only looks tell of waits (without `--exact`): it began after this time, and before `enter_ns`, at
    /// which the task was found in it; `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number::opt", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<json_number::Number>")]
    pub not_before_ns: Option<u64>,
}

impl Wait {
    /// Whether it may have lasted for longer than since `enter_ns`.
    pub fn is_older(&self) -> bool {
        self.since_before || self.not_before_ns.is_some()
    }

    /// The command of a `futex` system call, without flags. The marks for the other system calls
    /// ([`futex::OP_WAITV`], [`futex::OP_WAIT_SYSCALL`]) stay what they are and match no command.
    pub fn command(&self) -> u32 {
        self.op & futex::FUTEX_CMD_MASK
    }

    /// Whether the caller promised that no other process uses the word.
    pub fn is_private(&self) -> bool {
        self.op & futex::FUTEX_PRIVATE_FLAG != 0
    }
}

/// A futex wake.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FutexWake {
    /// Address of the futex word.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub uaddr: u64,
    /// `op` with its flags.
    pub op: u32,
}

/// A loss of events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventsLost {
    /// Records lost.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub count: u64,
    /// The same by kind, see [`forktrace_common::record::KIND_NAMES`]; kinds without a loss are
    /// left out.
    pub by_kind: std::collections::BTreeMap<String, u64>,
}

/// The end of a new look at `/proc`: the `process.snapshot`s before it that have `resync` set are
/// all that was alive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resync {
    /// How many processes were seen alive.
    pub processes: u32,
    /// When the list of processes was begun, `CLOCK_BOOTTIME`, ns: one that was made later may be
    /// missing in it. 0: the list is complete.
    #[serde(default, with = "json_number", skip_serializing_if = "is_none_lost")]
    #[schemars(with = "json_number::Number")]
    pub listed_ns: u64,
}

/// How a trace ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceEnd {
    /// Why: `interrupted`, `duration`, `targets ended`, …
    pub reason: String,
    /// Exact counts by name, most of them kept in the kernel.
    pub counters: std::collections::BTreeMap<String, u64>,
    /// Records lost in all.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub lost: u64,
    /// Lines that could not be written to this log, as on a full disk.
    #[serde(default, skip_serializing_if = "is_none_lost")]
    pub unwritten: u64,
    /// How long everything was traced, what had begun before included, ns; `None`: not known.
    #[serde(default, with = "json_number::opt", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<json_number::Number>")]
    pub traced_ns: Option<u64>,
    /// What it says of hangs; `None`: a log of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conclusion: Option<TraceConclusion>,
    /// Processes that forked beside other threads of their own and whose children did not exec, the one with
    /// the most such forks first. Logs of older versions do not have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub threaded_forks: Vec<ThreadedForks>,
}

fn is_none_lost(number: &u64) -> bool {
    *number == 0
}

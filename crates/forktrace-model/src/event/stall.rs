//! What tasks that do not move wait for, and who could end their waits.
//!
//! A stall is read for a process that was forked and has a thread that has not moved for longer than
//! the threshold. It tells raw facts: which task is in which call, on what, and who has the other ends.
//! Who could end a wait, and who of them can run, is concluded from it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{LostThread, Mapping, Python, UnobservedFork, Window, stacks};
use crate::json_number;

/// A thread that does not move, and everything that could end its wait. The event's task is the thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stall {
    /// The thread, the other threads of its process, the tasks that could end their waits, those that
    /// could end theirs, and so on.
    pub tasks: Vec<StallTask>,
    /// What they wait for.
    pub things: Vec<Thing>,
    /// The processes of these tasks.
    pub processes: Vec<StallProcess>,
    /// Why tasks may be missing; a task that is not in `tasks` may be able to run. `None`: none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<Cut>,
    /// Descriptors were on their way in messages of Unix sockets (unix(7), `SCM_RIGHTS`): of whom takes
    /// them nothing is known. It is read only where a task seems to be stuck.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_messages: bool,
    /// Python frames of the thread, innermost first.
    pub python: Python,
    /// Its native stack; empty until it is known that it is worth its price.
    pub stack: stacks::Stack,
    /// What was learnt of the fork after the fact, where it was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<Box<UnobservedFork>>,
    /// Threads that the fork did not copy, with their native stacks as they are now in the process that forked:
    /// read where the thread polls. Not more than eight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost_threads: Vec<LostThread>,
}

/// Why not every task could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// There were more than are read.
    TooMany,
    /// Something denied access to a process.
    Denied,
    /// A process or thread ended, or moved, while it was read.
    Changed,
}

/// A process of a stall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StallProcess {
    /// The process.
    pub pid: u32,
    /// Its parent.
    pub ppid: u32,
    /// The pid inside the process's own pid namespace, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_pid: Option<u32>,
    /// The path of its program; empty: not known.
    pub exe: String,
    /// Signals with a handler, bit n-1 for signal n; `None`: not known.
    #[serde(with = "json_number::opt_hex")]
    #[schemars(with = "Option<json_number::Hex>")]
    pub handlers: Option<u64>,
    /// Number of POSIX timers and other timers that send signals; `None`: not known.
    pub timers: Option<u32>,
    /// The language runtime in it that installs handlers of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
}

/// A language runtime that installs signal handlers unasked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    /// CPython.
    Python,
    /// Ruby.
    Ruby,
    /// Go.
    Go,
    /// A Java virtual machine.
    Java,
    /// .NET.
    Dotnet,
    /// Node.js.
    Node,
}

/// A task of a stall.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StallTask {
    /// Its process.
    pub pid: u32,
    /// The task.
    pub tid: u32,
    /// Its number inside the process's own pid namespace, where that differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ns_tid: Option<u32>,
    /// Its name. Chosen by the traced program: hostile until sanitised.
    pub comm: String,
    /// What it does.
    pub state: TaskState,
}

/// What a task does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// It ran on a CPU between two looks.
    Moves,
    /// It has been in one call since the first look.
    Waits(TaskWait),
    /// Not known.
    #[default]
    Unknown,
}

/// A call that a task is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskWait {
    /// Number of the system call.
    pub call: u64,
    /// Since when it is known to be in it, `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub since_ns: u64,
    /// Whether the call ends by itself.
    pub timed: bool,
    /// Whether a signal that is sent from elsewhere, an answer from another host, a person at a
    /// terminal, a device or something else that is no task could end it.
    pub outside: bool,
    /// The call only waits until files are ready, and uses none of them: `poll`, `select`, `epoll`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub polled: bool,
    /// The task is stopped, by a signal or by a debugger: whatever the call waits for, it goes on only when
    /// somebody continues it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// What would end it: any of these.
    pub on: Vec<On>,
    /// A task that can run, and that is left out of [`Stall::tasks`], could end it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub others: bool,
    /// The waits before it, where it goes back to the same one each time that its timeout is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub polls: Option<Polls>,
}

/// How a task polls: one call at one place, over and over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Polls {
    /// How often it has blocked there, at least.
    pub times: u64,
    /// Since when it is known to do nothing else, `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub since_ns: u64,
    /// CPU time that it took since then, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub cpu_ns: u64,
    /// Reads and writes that it made since then (`syscr` and `syscw` of `/proc/<pid>/task/<tid>/io`);
    /// `None`: not known.
    pub transfers: Option<u64>,
}

/// One thing that would end a wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct On {
    /// Its place in [`Stall::things`], from 0.
    pub thing: u32,
    /// The task's file descriptor of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
    /// What it waits for.
    pub way: Way,
}

/// What a task waits for a thing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// To have data, or to come to its end.
    #[default]
    Read,
    /// To have room.
    Write,
    /// To be changed and woken: a futex word.
    Wake,
    /// To be released: a file lock.
    Release,
    /// To end: a process.
    Exit,
}

/// Something that tasks wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Thing {
    /// What it is.
    pub kind: ThingKind,
    /// Its name: `pipe:[4026]`, a path, or empty.
    pub name: String,
    /// A Unix socket: it was connected by a name, so that nobody needs to be given an end of it. A word in
    /// shared memory: the file has a name, by which others may open it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_name: bool,
    /// Who has what end of it.
    pub users: Vec<User>,
    /// A futex word: its address in the process of the first task that waits for it.
    #[serde(with = "json_number::opt_hex", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<json_number::Hex>")]
    pub word: Option<u64>,
    /// A futex word: the operation of that task's wait with its flags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<u32>,
    /// A futex word: the mapping that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
    /// A futex word: the memory around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Window>,
    /// A futex word of an `RLock` of Python: the thread that has the lock, by its number in its pid namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<u32>,
    /// A System V semaphore: what the kernel records of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub semaphore: Option<SysvSemaphore>,
}

/// What the kernel records of a System V semaphore whose value is less than a task wants to take from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SysvSemaphore {
    /// Its value (`GETVAL`).
    pub value: u32,
    /// How much the task wants to take.
    pub wants: u32,
    /// The process that changed it last (`GETPID`), which is not the task's.
    pub last: u32,
    /// That process has ended.
    pub gone: bool,
}

/// What a thing is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThingKind {
    /// A futex word that one memory alone has.
    PrivateWord,
    /// A futex word in memory that several processes may have.
    SharedWord,
    /// A pipe or a FIFO.
    Pipe,
    /// One end of a connected pair of Unix sockets; its users have the other end.
    UnixSocket,
    /// One end of a TCP connection both ends of which are on this host; its users have the other end.
    TcpSocket,
    /// An eventfd.
    Eventfd,
    /// Processes that a task is the parent of.
    Children,
    /// A lock on a file (`flock`, `fcntl`).
    FileLock,
    /// An epoll instance: whoever has it may add files to it.
    Epoll,
    /// A System V semaphore that is to be raised. Any process that has the right may do that: its users
    /// are only those that may be expected to.
    SysvSemaphore,
    /// Anything else.
    #[default]
    Other,
}

/// A process that has an end of a thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct User {
    /// The process.
    pub pid: u32,
    /// Its file descriptor, where it has one: the lowest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
    /// It could read from it: so it could make room in it.
    pub reads: bool,
    /// It could write to it, wake who waits for it, or release it. Of a child: it could end.
    pub writes: bool,
    /// It has the waiter's own end of a socket: it could shut it down.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shuts: bool,
    /// Whether it has the lock that the word belongs to, by its own record; `None`: no record is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<bool>,
}

//! What is read of a waiting process and its lock.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    FirstWrites, Probed, PythonLock, PythonThread, Task, UnobservedFork, Wait, Waiter, stacks,
};
use crate::json_number;

/// What a waiting process looked like, read without stopping it. The event's task is the waiter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The wait that the evidence is about.
    pub wait: Wait,
    /// False when the wait was over before everything was read: then nothing is judged.
    pub still_waiting: bool,
    /// True when something such as a security module kept the tracer from reading the process: then
    /// nothing is judged, and whether the wait was over is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
    /// The pid inside the process's own pid namespace, where that differs.
    pub ns_pid: Option<u32>,
    /// The mapping that holds the futex word; `None` when it could not be read.
    pub mapping: Option<Mapping>,
    /// The file whose static data holds the futex word; `None`: no file's, or not known.
    #[serde(default)]
    pub module: Option<Module>,
    /// The C library of the process; `None`: another one, or part of a static program.
    #[serde(default)]
    pub libc: Option<Libc>,
    /// Memory around the futex word while waiting; `None` when it could not be read.
    pub now: Option<Window>,
    /// Memory around the futex word as the process inherited it.
    pub at_fork: AtFork,
    /// The lock itself, where the futex word is only what the waiter is parked on.
    #[serde(default)]
    pub target: Option<Place>,
    /// How often the process itself woke the word since it was forked; `None`: not known.
    pub wakes_since_fork: Option<u64>,
    /// Every thread of the process, the waiter included.
    pub threads: Vec<ThreadSample>,
    /// Processes known to share the waiter's memory (vfork, clone with `CLONE_VM`).
    pub memory_shared_with: Vec<u32>,
    /// Signals with a handler, bit n-1 for signal n; `None`: not known.
    #[serde(with = "json_number::opt_hex")]
    #[schemars(with = "Option<json_number::Hex>")]
    pub handlers: Option<u64>,
    /// Number of POSIX timers; `None`: not known.
    pub timers: Option<u32>,
    /// Python frames of the waiter, innermost first.
    pub python: Python,
    /// Native stacks and what they are about; boxed because it is large beside the rest.
    #[serde(default)]
    pub native: Option<Box<stacks::NativeStacks>>,
    /// Who first wrote to the word's page after the fork.
    #[serde(default)]
    pub first_writes: FirstWrites,
    /// The threads of the process that wait for the word, the waiter included.
    #[serde(default)]
    pub waiters: Vec<Waiter>,
    /// The Python object whose lock the word is, where there is one.
    #[serde(default)]
    pub python_lock: Option<PythonLock>,
    /// When the tracer first read the Python side of the process, `CLOCK_BOOTTIME`, ns. It may copy
    /// pages, whose later writes are then not seen.
    #[serde(default)]
    pub python_read_ns: Option<u64>,
    /// The threads that Python knows in the process.
    #[serde(default)]
    pub python_threads: Vec<PythonThread>,
    /// What was learnt of the fork after the fact, where it was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Box<UnobservedFork>>,
    /// Tasks that wait for the end of the process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waited_by: Vec<Task>,
    /// What probes on lock functions saw of the lock; `None`: there were none (`--locks`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probed: Option<Probed>,
}

/// A lock that is elsewhere than the futex word, read as the word is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Address of the lock.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// The mapping that holds it; `None` when it could not be read.
    pub mapping: Option<Mapping>,
    /// Memory around it while waiting; `None` when it could not be read.
    pub now: Option<Window>,
    /// Memory around it as the process inherited it.
    pub at_fork: AtFork,
    /// Name of the Python type whose object the lock seems to be the first member of.
    pub python_type: Option<String>,
    /// The thread that the lock says owns it.
    pub owner: Option<OwnerThread>,
}

/// A thread that a lock names by the address of its descriptor, a `pthread_t`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnerThread {
    /// Address of the descriptor.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// The thread's tid in the descriptor as inherited; `None`: not known.
    pub tid_at_fork: Option<u32>,
    /// The tid there now; 0: no living thread has this descriptor.
    pub tid: Option<u32>,
}

/// One line of `/proc/<pid>/maps`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mapping {
    /// First address.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub start: u64,
    /// Address after the last.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub end: u64,
    /// Permissions, such as `rw-p`.
    pub perms: String,
    /// MAP_SHARED: other processes may see the word.
    pub shared: bool,
    /// File path or kernel's name such as `[heap]`; empty for anonymous memory.
    pub path: String,
    /// Offset in the file, bytes.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub offset: u64,
}

impl Mapping {
    /// Whether `malloc` may have handed out memory here: the program break's area, or anonymous
    /// private memory (further arenas and large blocks).
    pub fn is_heap(&self) -> bool {
        let anonymous = self.path.is_empty() || self.path == "[heap]";
        anonymous && !self.shared && self.perms.starts_with("rw")
    }
}

/// A place in the static data of a program or library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Module {
    /// Path of the file.
    pub path: String,
    /// The place as the file's own addresses count, which those of its symbols do too.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
}

/// A C library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Libc {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
}

/// A stretch of a process's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Address of the first byte.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// The bytes (hex digits in the log).
    #[serde(with = "json_number::hex_bytes")]
    #[schemars(with = "json_number::HexBytes")]
    pub bytes: Vec<u8>,
}

impl Window {
    /// The byte at `address`, if the window holds it.
    pub fn byte(&self, address: u64) -> Option<u8> {
        let at = usize::try_from(address.checked_sub(self.address)?).ok()?;
        self.bytes.get(at).copied()
    }

    /// The 32-bit word at `address`, if the window holds it. Little-endian, as every machine
    /// whose waits are judged.
    pub fn word(&self, address: u64) -> Option<u32> {
        let start = usize::try_from(address.checked_sub(self.address)?).ok()?;
        let bytes = self.bytes.get(start..start.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// The 64-bit word at `address`, if the window holds it.
    pub fn long(&self, address: u64) -> Option<u64> {
        let low = self.word(address)?;
        let high = self.word(address.checked_add(4)?)?;
        Some(u64::from(low) | u64::from(high) << 32)
    }
}

/// Memory as inherited at the fork, or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AtFork {
    /// The bytes at the instant of the fork.
    Known(Window),
    /// Not known, and why.
    Unknown(Missing),
}

impl Default for AtFork {
    fn default() -> Self {
        AtFork::Unknown(Missing::NotObserved)
    }
}

impl AtFork {
    /// The bytes, where they are known.
    pub fn known(&self) -> Option<&Window> {
        match self {
            AtFork::Known(window) => Some(window),
            AtFork::Unknown(_) => None,
        }
    }
}

/// Why there are no bytes from the instant of the fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The fork happened before tracing began, or the process is no forked child.
    NotObserved,
    /// Snapshots are switched off or this kernel has no page fault tracepoints.
    Off,
    /// A limit was reached, so a page that is missing proves nothing.
    LimitReached,
    /// The child forked itself before the page was written.
    ForkedItself,
    /// No write fault was seen on the page.
    NoFault,
}

/// What one thread of a waiting process was doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadSample {
    /// The thread.
    pub tid: u32,
    /// Its number inside the process's own pid namespace, where that differs.
    pub ns_tid: Option<u32>,
    /// Its name.
    pub comm: String,
    /// What it was doing.
    pub doing: Doing,
    /// True when it ran on a CPU between two looks; `None`: not known.
    pub ran: Option<bool>,
    /// Where its untimed futex wait does not say so itself (`FUTEX_PRIVATE_FLAG`): whether the word is
    /// in private memory, so that only its own process could wake it. `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private: Option<bool>,
}

/// A thread's activity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// Blocked in a futex wait.
    Futex {
        /// Address of the futex word.
        #[serde(with = "json_number::hex")]
        #[schemars(with = "json_number::Hex")]
        uaddr: u64,
        /// `op` with its flags.
        op: u32,
        /// Expected value.
        #[serde(with = "json_number::hex")]
        #[schemars(with = "json_number::Hex")]
        val: u64,
        /// Whether the wait ends by itself.
        timed: bool,
    },
    /// Blocked in another system call, by its number.
    Syscall(u64),
    /// Running or runnable.
    Running,
    /// Not known.
    #[default]
    Unknown,
}

/// Python frames, or why there are none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Python {
    /// Frames of the waiting thread, innermost first.
    Frames(Vec<PythonFrame>),
    /// Why there are none, in a few words ([`Python::NO_PYTHON`]).
    None(String),
}

impl Python {
    /// Why there are no frames, where the process runs no Python.
    pub const NO_PYTHON: &str = "not a Python process";

    /// Whether the process is known to run no Python.
    pub fn is_absent(&self) -> bool {
        matches!(self, Python::None(why) if why == Python::NO_PYTHON)
    }
}

impl Default for Python {
    fn default() -> Self {
        Python::None("not read".into())
    }
}

/// One Python frame.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PythonFrame {
    /// Path of the source file.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Function.
    pub function: String,
}

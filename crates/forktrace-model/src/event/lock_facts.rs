//! What a look tells of a lock beyond the bytes around it: who wrote to it first, who waits for it,
//! and what Python has to do with it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AtFork, PythonFrame, Window};
use crate::json_number;

/// The first writes to a page after the fork that made the waiter's process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirstWrites {
    /// By the child.
    pub child: Option<FirstWrite>,
    /// By the process that forked, before it forked again.
    pub forker: Option<FirstWrite>,
}

/// A write, as its page fault told before it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirstWrite {
    /// `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub boot_ns: u64,
    /// The thread that wrote.
    pub tid: u32,
    /// The address that it wrote to.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// `CLOCK_BOOTTIME` of the latest fault on the same page by another thread, ns; 0: none. Threads
    /// may fault at once, and then it is not known whose write came first.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub other_ns: u64,
    /// How often the thread had blocked by then, the low 32 bits; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The file whose code wrote; `None`: not known.
    pub module: Option<String>,
    /// The exported function that wrote; `None`: not known, or none that the file exports.
    pub function: Option<String>,
}

/// A thread that waits for the word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiter {
    /// The thread.
    pub tid: u32,
    /// Since when: `CLOCK_BOOTTIME` at system call entry, ns. Without `--exact` it may be longer.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub enter_ns: u64,
    /// Without `--exact`: how often the thread has blocked, this wait included.
    #[serde(with = "json_number::opt", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<json_number::Number>")]
    pub times: Option<u64>,
}

/// A Python object that has the lock inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PythonLock {
    /// Address of the object.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// `tp_name` of its type: `_thread.lock`.
    pub type_name: String,
    /// The object's bytes while waiting.
    pub now: Window,
    /// The same as inherited.
    pub at_fork: AtFork,
    /// The living bound methods `__exit__` of the object.
    #[serde(default)]
    pub exits: Vec<KeptMethod>,
    /// The thread that the descriptor of an `RLock`'s owner named at the fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_tid: Option<u32>,
}

/// `_thread.RLock` up to Python 3.13, with a lock of its own inside.
pub const RLOCK: &str = "_thread.RLock";
/// Offsets of its owner and count (`rlockobject`, `Modules/_threadmodule.c`, CPython 3.8 to 3.13).
const OWNER: u64 = 24;
const COUNT: u64 = 32;

impl PythonLock {
    /// Whether it is a lock that knows its owner.
    pub fn is_rlock(&self) -> bool {
        self.type_name == RLOCK
    }

    /// Owner (`threading.get_ident()`) and count of an `RLock` in a copy of its memory.
    pub fn rlock(&self, memory: &Window) -> Option<(u64, u64)> {
        let field = |offset: u64| memory.long(self.address.checked_add(offset)?);
        self.is_rlock().then_some(())?;
        Some((field(OWNER)?, field(COUNT)?))
    }
}

/// A bound method: what a thread in a `with` block keeps until it leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptMethod {
    /// Address of the method object.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// Its bytes while waiting.
    pub now: Window,
    /// The same as inherited.
    pub at_fork: AtFork,
    /// True: a frame of a thread that Python knows has it. False: only a frame of a thread that is not
    /// here does. `None`: not known, or something else has it.
    #[serde(default)]
    pub on_frame: Option<bool>,
    /// Where a thread that is not here was when it left it behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_at: Option<PythonFrame>,
}

/// A thread as Python knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PythonThread {
    /// Its id in its own pid namespace, where Python has recorded it.
    pub tid: Option<u32>,
    /// `threading.get_ident()`.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub ident: u64,
    /// What its frames have to do with the lock.
    pub lock_use: LockUse,
    /// Its innermost frame.
    pub innermost: Option<PythonFrame>,
}

/// What a thread's Python frames have to do with a lock; of several the first in this order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LockUse {
    /// It is in a `with` block of the lock, or about to enter one.
    With,
    /// A variable or argument is the lock itself.
    Refers,
    /// It runs code that calls `acquire` or `release` of something.
    Calls,
    /// It is in a `with` block of an object written in Python, which may stand for a lock.
    Manager,
    /// Not known.
    #[default]
    Unknown,
    /// Nothing.
    Nothing,
}

/// What probes on lock functions saw of a lock around the futex word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Probed {
    /// Threads of the forking process that had it while the memory was copied: none was seen with
    /// it, or it changed hands meanwhile, where this is not one.
    pub holds: Vec<Hold>,
    /// Since when the waiter's own process is probed, `CLOCK_BOOTTIME`, ns; `None`: it is not.
    #[serde(with = "json_number::opt")]
    #[schemars(with = "Option<json_number::Number>")]
    pub child_since_ns: Option<u64>,
    /// The same of the forking process.
    #[serde(default, with = "json_number::opt")]
    #[schemars(with = "Option<json_number::Number>")]
    pub parent_since_ns: Option<u64>,
    /// Whether the waiter's own process was seen to take or release it.
    pub child_used: bool,
}

/// A thread's possession of a lock, as probes on lock functions saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hold {
    /// Address of the lock.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// The thread.
    pub tid: u32,
    /// When it had taken the lock, `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub since_ns: u64,
    /// When it released it; `None`: not yet.
    #[serde(with = "json_number::opt")]
    #[schemars(with = "Option<json_number::Number>")]
    pub until_ns: Option<u64>,
    /// The thread that released it; `None`: not yet, or not seen.
    #[serde(default)]
    pub until_tid: Option<u32>,
    /// Where the call that took it returned to.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub caller: u64,
    /// The same as `file+offset`, where the mapping is known.
    pub place: Option<String>,
}

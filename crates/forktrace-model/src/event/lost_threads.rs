//! Threads that a fork did not copy, and the work that was for them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AtFork, Doing, Mapping, Module, PythonFrame, Window, stacks::Stack, stall::Runtime};
use crate::json_number;

/// A process that forked beside other threads of its own, and whose children did not exec.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ThreadedForks {
    /// The process that forked.
    pub pid: u32,
    /// The name of the thread that forked.
    pub comm: String,
    /// How many of its children have not exec'ed, or did not before they ended.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub forks: u64,
    /// How many other threads it had at such a fork, at most.
    pub threads: u32,
    /// The names of these threads, each with the number of such forks that lost a thread of this name. Not
    /// more than 64 names.
    pub names: BTreeMap<String, u64>,
}

/// The threads that a forked child does not have, and what became of what they waited for. Told about
/// 100 ms after the fork if the child has not exec'ed by then, and again when the child has changed such
/// a word. The event's task is the child.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LostThreads {
    /// The fork, `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub fork_ns: u64,
    /// When the threads were looked at in the process that forked, `CLOCK_BOOTTIME`, ns; 0: they were not,
    /// since that process was gone by then.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub seen_ns: u64,
    /// The threads. Not more than 64.
    pub threads: Vec<LostThread>,
    /// The threads that the child has now, beside its first.
    pub others: Vec<OtherThread>,
    /// The child has begun to end: its first thread is in the code that a program runs at its exit. `None`:
    /// it was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<bool>,
    /// The language runtime in the child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// The stack of the thread that forked, at the fork. Read with `--audit`, or when a word was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fork: Option<Box<Stack>>,
    /// The Python frames of the child's first thread, innermost first. Read as `fork` is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub python: Vec<PythonFrame>,
    /// When these frames were read, `CLOCK_BOOTTIME`, ns; 0: they were not.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub python_ns: u64,
}

/// A thread that the child does not have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LostThread {
    /// The thread of the process that forked.
    pub tid: u32,
    /// Its name.
    pub comm: String,
    /// What it did in the process that forked, when it was looked at there.
    pub doing: Doing,
    /// The futex wait in `doing` had begun before the fork, as the hooks of futex calls saw.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub since_fork: bool,
    /// The futex word in the child's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub word: Option<Box<LostWord>>,
    /// Its native stack then. Read with `--audit`, or when its word was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stack: Option<Box<Stack>>,
    /// Its Python frames, innermost first; read as `stack` is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub python: Vec<PythonFrame>,
    /// The locks that it held at the fork, as probes on lock functions saw (`--locks`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldLock>,
}

/// A lock that a lost thread held at the fork.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeldLock {
    /// Address of the lock.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// The code that took it, as `file+offset`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

/// A futex word for which a lost thread waited, in the memory of the child.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LostWord {
    /// The mapping that holds it.
    pub mapping: Option<Mapping>,
    /// The file whose static data holds it; `None`: no file's, or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<Module>,
    /// The memory around it as the child inherited it.
    pub at_fork: AtFork,
    /// The same at the first look at it, where what was inherited is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Window>,
    /// The same now; `None`: the child does not have this memory any more.
    pub now: Option<Window>,
    /// Since when the word is known to have another value than at the fork, `CLOCK_BOOTTIME`, ns; `None`: it
    /// has not.
    #[serde(with = "json_number::opt", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<json_number::Number>")]
    pub changed_ns: Option<u64>,
    /// How many threads of the child wait for it now.
    pub waiters: u32,
    /// How often the child woke the word since the fork, where futex calls are hooked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wakes: Option<u64>,
}

/// A thread that the child has made since its fork.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OtherThread {
    /// The thread.
    pub tid: u32,
    /// Its name.
    pub comm: String,
    /// What it does.
    pub doing: Doing,
}

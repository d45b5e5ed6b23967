//! Threads that a child does not have, and work that was for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    event::{Doing, HeldLock, PythonFrame, stacks::Frame},
    json_number,
};

/// What a finding tells of threads that a fork did not copy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ThreadsDetail {
    /// How long after the fork these threads were looked at in the process that forked, ns; `None`: that
    /// process was gone by then.
    #[serde(with = "json_number::opt")]
    #[schemars(with = "Option<json_number::Number>")]
    pub seen_after_ns: Option<u64>,
    /// The threads; those with work first.
    pub threads: Vec<ThreadLost>,
    /// Python frames of the child's first thread, innermost first: its callers are those of the fork.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub python: Vec<PythonFrame>,
    /// How long after the fork these frames were read, ns; `None`: they were not.
    #[serde(with = "json_number::opt", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<json_number::Number>")]
    pub python_after_ns: Option<u64>,
    /// The fork did not go through the hooks by which libraries make their threads again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass: Option<Bypass>,
}

/// A thread that a child does not have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ThreadLost {
    /// The thread of the process that forked.
    pub tid: u32,
    /// Its name.
    pub comm: String,
    /// The library whose thread it is, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<Library>,
    /// What it did.
    pub doing: Doing,
    /// The work that the child has for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<Work>,
    /// Where it was: native frames, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Frame>,
    /// Its Python frames, innermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub python: Vec<PythonFrame>,
    /// Locks that it held at the fork, where probes saw it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldLock>,
}

/// A signal that was meant for a thread which is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Work {
    /// The futex word for which the thread waited at the fork.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub word: u64,
    /// What it belongs to.
    pub sort: SignalSort,
    /// How many signals are there that nobody took, at least.
    pub signals: u32,
    /// For how long at least one has been there when this was judged, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub for_ns: u64,
}

/// By what a thread is told that there is work.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum SignalSort {
    /// A condition variable of glibc.
    Condition,
    /// A semaphore of glibc; also what is inside of Python's locks.
    Semaphore,
    /// A token of a parked thread, as of Rust's `thread::park`.
    Token,
    /// A counter that each signal increments, as in the condition variables of Rust and GLib.
    #[default]
    Counter,
}

/// How a fork passed by the hooks of a language or library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bypass {
    /// It was a system call of its own: no handler of `pthread_atfork` ran.
    RawClone,
    /// Python did not make it: no hook of `os.register_at_fork` ran by itself.
    NotByPython,
}

/// A library that has threads of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Library {
    /// OpenTelemetry's batch processors and metric readers.
    OpenTelemetry,
    /// The background worker of Sentry's SDK.
    Sentry,
    /// librdkafka.
    Librdkafka,
    /// ZeroMQ.
    Zeromq,
    /// PyMongo.
    Pymongo,
    /// `logging.handlers.QueueListener` of Python.
    QueueListener,
    /// `concurrent.futures` of Python.
    Futures,
    /// Datadog's ddtrace.
    Datadog,
    /// gRPC.
    Grpc,
    /// The thread of PyTorch's `DataLoader` that copies to pinned memory.
    PinMemory,
}

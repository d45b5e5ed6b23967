//! What native code did, as the log tells it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Doing, PythonFrame, ThreadName, Window};
use crate::json_number;

/// Native code around a hang, read only for what would be a finding.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NativeStacks {
    /// The waiting thread's stack.
    pub stack: Stack,
    /// The stack of the thread that forked, at the fork.
    pub fork: Stack,
    /// Where the futex word lies.
    pub word: Option<Place>,
    /// Where the lock itself lies.
    pub lock: Option<Place>,
    /// The calls that took the lock, as probes on lock functions saw them.
    pub takers: Vec<Frame>,
    /// Memory of the forking process around the futex word's address, now.
    pub in_parent: Option<Window>,
    /// The forking process's threads of the time of the fork that may hold the lock: the one that
    /// the lock names, otherwise all of them.
    pub holders: Vec<TaskNow>,
    /// Present names of the threads that the fork lost, where they live. Threads are named after their
    /// start, and no event tells of that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<ThreadName>,
    /// Where the other threads of the waiting process are, if each of them may have the lock; none
    /// where there are too many.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<ThreadBeside>,
}

/// The code that another thread of the waiting process is in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ThreadBeside {
    /// The thread.
    pub tid: u32,
    /// Its functions, innermost first.
    pub code: Vec<Code>,
    /// Why callers may be missing, in a few words; `None`: its stack is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut: Option<String>,
}

/// A function of a program or library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Code {
    /// The function; `None`: not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub symbol: Option<String>,
    /// Path of the program or library; `None`: no file's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
}

impl ThreadBeside {
    /// Where a thread with this stack is.
    pub fn new(tid: u32, stack: Stack) -> Self {
        let code = |frame: Frame| Code { symbol: frame.symbol, module: frame.module };
        let code = stack.frames.into_iter().map(code).collect();
        ThreadBeside { tid, code, cut: stack.cut }
    }
}

/// Return addresses of a thread, innermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stack {
    /// The frames.
    pub frames: Vec<Frame>,
    /// Why callers may be missing, in a few words; `None`: the stack is whole.
    pub cut: Option<String>,
}

impl Stack {
    /// A stack of which nothing is known.
    pub fn missing(why: impl Into<String>) -> Self {
        Stack { frames: Vec::new(), cut: Some(why.into()) }
    }
}

/// One frame. Functions that the compiler inlined have frames of their own, with one address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Frame {
    /// Where the thread is, or returns to.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub address: u64,
    /// The function, without its parameters' mangling.
    pub symbol: Option<String>,
    /// Path of the program or library.
    pub module: Option<String>,
    /// The address in the module's own numbers, as `addr2line -e module` takes it; one less where
    /// the frame is a caller's, so that it lies in the call.
    #[serde(with = "json_number::opt_hex")]
    #[schemars(with = "Option<json_number::Hex>")]
    pub offset: Option<u64>,
    /// Path of the source file, where there is debug information.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u32>,
    /// The module's build id, hexadecimal digits.
    pub build_id: Option<String>,
}

/// Where data lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Memory of a program or library.
    Module {
        /// Its path.
        path: String,
        /// The section, such as `.bss`.
        section: Option<String>,
        /// The variable.
        symbol: Option<String>,
        /// Bytes from the beginning of the variable, otherwise of the section, otherwise of the
        /// module.
        #[serde(with = "json_number::hex")]
        #[schemars(with = "json_number::Hex")]
        offset: u64,
    },
    /// The stack of a thread that is alive.
    Stack {
        /// The thread.
        tid: u32,
    },
}

/// What became of a thread that the forking process had at the fork.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TaskNow {
    /// Its process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// Its name: now where it lives, otherwise at the fork, where known.
    pub comm: Option<String>,
    /// What became of it.
    pub fate: Fate,
    /// What it is doing.
    pub doing: Doing,
    /// Its stack, where it is alive and blocked.
    pub stack: Stack,
    /// Its Python frames, innermost first, where they were read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub python: Vec<PythonFrame>,
}

/// What became of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It lives.
    Alive,
    /// It ended; its process lives.
    Exited,
    /// Its process ended.
    Gone,
    /// Its process runs another program.
    Replaced,
    /// Not known.
    #[default]
    Unknown,
}

//! The ends of threads and processes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A process that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProcessExit {
    /// How; `None`: not known (a kernel that does not describe itself, or a log of before 0.2.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How a process or thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// By itself, with this exit code.
    Code(u8),
    /// By the signal with this number.
    Signal(u8),
}

impl Ended {
    /// What a wait status says, see `wait(2)`: `WTERMSIG` and `WEXITSTATUS` of glibc's `bits/waitstatus.h`.
    pub fn of(status: u32) -> Ended {
        let [low, code, ..] = status.to_le_bytes();
        match low & 0x7f {
            0 => Ended::Code(code),
            signal => Ended::Signal(signal),
        }
    }
}

/// A thread that ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ThreadExit {
    /// Whether it was its process's last; `None` where the kernel does not say (before 6.16).
    pub group_dead: Option<bool>,
    /// How; `None`: not known (a kernel that does not describe itself, or a log of before 0.2.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

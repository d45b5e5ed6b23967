//! Locks on files that a process relies on and does not have, or has and does not know of; and signals that
//! nobody takes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    event::{LockSort, PendingSignal},
    json_number,
};

/// What a finding tells of a lock on a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileLockDetail {
    /// What became of it.
    pub loss: LockLoss,
    /// The lock's sort.
    pub sort: LockSort,
    /// The file's inode.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub inode: u64,
    /// Its device, as in `/proc/locks`.
    pub device: String,
    /// Its path, where that is known.
    pub path: String,
    /// Who took the lock.
    pub taker: LockParty,
    /// When it took it, `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub taken_ns: u64,
    /// Who gave it back, or goes on without it, or keeps it.
    pub other: LockParty,
    /// When it was lost, or refused, `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub lost_ns: u64,
    /// Another process that has taken the lock since, or does not get it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub third: Option<LockParty>,
}

/// What became of a lock on a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LockLoss {
    /// `other` gave back what `taker` had taken.
    #[default]
    Released,
    /// `taker` and `other` had it at once, since both have it by one description.
    HeldByBoth,
    /// `taker` has ended, and its lock with it; `other` goes on without.
    EndedWithTaker,
    /// `taker` is gone, and `other` keeps the lock by its copy of the descriptor.
    Kept,
}

/// A process beside a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LockParty {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its descriptor, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
    /// It had ended when this was judged.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

/// What a finding tells of signals that a process does not take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SignalsDetail {
    /// The signals.
    pub pending: Vec<PendingSignal>,
    /// Children of the process that have ended and for which it has not waited.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zombies: Vec<u32>,
}

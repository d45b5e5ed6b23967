//! Locks on files on which several processes of a fork family act.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json_number;

/// An act on a lock that another process has taken, or the loss of a lock by a close. With `look`: what was
/// seen of the processes some time after it; the event's task is then one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileLock {
    /// The lock's sort.
    pub sort: LockSort,
    /// What the task did.
    pub act: LockAct,
    /// The file's inode.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub inode: u64,
    /// Its device, as in `/proc/locks`: `08:01`.
    pub device: String,
    /// Names the open file description, of a POSIX lock the process: when its first lock on the file was
    /// seen, `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub owner: u64,
    /// The act was about an exclusive lock.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
    /// The descriptor that the task used, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
    /// The lock as it was before.
    pub taken: TakenLock,
    /// What was seen later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub look: Option<Box<LockLook>>,
}

/// A sort of lock on a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockSort {
    /// Of flock(2): belongs to the open file description, which fork shares.
    Flock,
    /// Of fcntl(2) or lockf(3): belongs to the process, and a child does not have it.
    Posix,
    /// Of fcntl(2) with `F_OFD_SETLK`: belongs to the open file description.
    Ofd,
    /// Another, of a later version.
    #[default]
    #[serde(other)]
    Other,
}

/// What a process did with a lock on a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockAct {
    /// It took the lock, which another one had taken by the same description.
    Locked,
    /// It gave the lock back by a call.
    Released,
    /// It closed the file, or ended, which gave the lock back.
    Closed,
    /// It did not get the lock at once.
    Refused,
    /// It took a lock by another description, after the earlier one was given back by a process that had
    /// not taken it.
    Taken,
    /// It took a POSIX lock by a description by which another process had taken one.
    Used,
    /// Another, of a later version.
    #[default]
    #[serde(other)]
    Other,
}

/// A lock that a process has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TakenLock {
    /// The process.
    pub pid: u32,
    /// Its descriptor, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
    /// When, `CLOCK_BOOTTIME`, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub at_ns: u64,
    /// It excludes everybody else.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
    /// It was not given back yet.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
}

/// Who has a file open some time after the act.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LockLook {
    /// How long after the act, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub after_ns: u64,
    /// The task of the act.
    pub by: u32,
    /// The file's path, as a process that has it open shows it.
    pub path: String,
    /// The number of which the file's text consists: a pid file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub names_pid: Option<u32>,
    /// It is a database of SQLite, or what belongs to one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sqlite: bool,
    /// Processes of the family that have it open.
    pub openers: Vec<LockOpener>,
    /// Processes, of whatever family, that have a POSIX lock on the file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub locked_by: Vec<u32>,
}

/// A process that has a file open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LockOpener {
    /// The process.
    pub pid: u32,
    /// Its descriptor.
    pub fd: i32,
    /// The lock of this description, or of this process, is still there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub holds: bool,
    /// It may write.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub writes: bool,
    /// It waits for the end of a child.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_child: bool,
}

/// Signals that a forked process has blocked since its fork, and that are there for it. The event's task is
/// the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BlockedSignals {
    /// Signals that are blocked now in each of its threads, a bit for each from 1 on.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub blocked: u64,
    /// Those that the forking thread had blocked at the fork.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub at_fork: u64,
    /// The same, as the first look after the fork found it in the process.
    #[serde(with = "json_number::hex")]
    #[schemars(with = "json_number::Hex")]
    pub at_first: u64,
    /// How long after the fork that look was, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub first_after_ns: u64,
    /// The signals that are there, by number.
    pub pending: Vec<PendingSignal>,
    /// Its children that have ended and for which it has not waited.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zombies: Vec<u32>,
}

/// A signal that is there and was not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PendingSignal {
    /// Its number.
    pub signal: i32,
    /// It has been seen at each look for so long, ns.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub for_ns: u64,
    /// At how many looks.
    pub looks: u32,
    /// The process has a handler for it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub handled: bool,
}

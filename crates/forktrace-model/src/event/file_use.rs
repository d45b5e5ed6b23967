//! A file or an epoll instance that several processes of one fork family have as one open description.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::json_number;

/// What several looks have shown of an open description that a fork has copied the descriptors of. The
/// event's task is one of those that have it.
///
/// No system call is watched. Of a regular file the offset is read (`pos` in `/proc/<pid>/fdinfo/<fd>`), and
/// how many bytes each process has read and written altogether (`rchar` and `wchar` in `/proc/<pid>/io`,
/// which `vfs_read` and `vfs_write` count in `fs/read_write.c`, Linux 6.18). Of an epoll instance the files
/// that it watches are read (`tfd` in `fdinfo`, `ep_show_fdinfo` in `fs/eventpoll.c`, Linux 6.18), and who
/// waits on it (`/proc/<pid>/task/<tid>/syscall`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileUse {
    /// What it is.
    pub class: FileClass,
    /// Counts up in a trace: tells one open description from another.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub id: u64,
    /// A file's inode; 0 for an epoll instance.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub inode: u64,
    /// A file's path, as `/proc/<pid>/fd` shows it; empty for an epoll instance.
    pub name: String,
    /// Who has it, the eldest first.
    pub holders: Vec<FileHolder>,
    /// When more than one of them was first seen to use it, `CLOCK_BOOTTIME`, ns; 0: not yet.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub since_ns: u64,
    /// Another process than those has it too, by an exec: it may have moved the offset.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
    /// Of a file: how often another process moved its offset than before.
    #[serde(skip_serializing_if = "is_zero")]
    pub turns: u32,
    /// Of a file: between how many pairs of looks more than one process moved its offset.
    #[serde(skip_serializing_if = "is_zero")]
    pub both: u32,
    /// What an epoll instance watches, and what was taken out of it: the first few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<WatchedFile>,
}

/// What is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileClass {
    /// A regular file.
    #[default]
    File,
    /// An epoll instance.
    Epoll,
}

/// A process that has the open description.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FileHolder {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Its descriptor.
    pub fd: i32,
    /// By how many bytes at least it moved the offset by reading, since it was first looked at: what the
    /// others cannot have read.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub read: u64,
    /// The same by writing.
    #[serde(with = "json_number")]
    #[schemars(with = "json_number::Number")]
    pub written: u64,
    /// In how many looks a thread of it waited on the epoll instance.
    #[serde(skip_serializing_if = "is_zero")]
    pub waits: u32,
}

/// A file that an epoll instance watches, or has watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WatchedFile {
    /// The descriptor by which it was added.
    pub fd: i32,
    /// It is a socket that listens.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub listens: bool,
    /// Processes that wait on the instance and have another file by this number, or none, while another
    /// one has this file: seen in two looks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing_in: Vec<u32>,
    /// It was taken out of the instance: by this process, while the other one that has the instance slept
    /// in a wait on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_by: Option<u32>,
    /// That other process, which still has the file open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed_from: Option<u32>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

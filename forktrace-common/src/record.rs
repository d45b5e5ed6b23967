//! Records of the ring buffer: one header and one payload per kind, without padding.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of a task's name with its terminating NUL. Source: `TASK_COMM_LEN`, `include/linux/sched.h`.
pub const COMM_LEN: usize = 16;
/// The most bytes kept of an executable's path, its terminating NUL included.
pub const FILENAME_LEN: usize = 256;

/// What a record tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// [`Fork`]: a process or thread was made.
    Fork = 0,
    /// [`Exec`].
    Exec = 1,
    /// [`Exit`]: a thread ended.
    Exit = 2,
    /// [`WaitEnd`]: a futex wait of at least the configured length returned.
    WaitEnd = 3,
    /// [`WaitBegin`]: only when streaming everything.
    WaitBegin = 4,
    /// [`Wake`]: only when streaming everything.
    Wake = 5,
    /// [`crate::socket::SocketShared`]: something new about a socket that several processes use.
    SocketUse = 6,
    /// [`crate::file_lock::LockAct`]: something about a lock on a file that concerns several processes.
    FileLock = 7,
}

/// Number of [`Kind`]s.
pub const KINDS: u32 = 8;

/// The names of the kinds as counted in logs and summaries, by [`Kind`].
pub const KIND_NAMES: [&str; KINDS as usize] =
    ["fork", "exec", "exit", "wait_end", "wait_begin", "wake", "socket_use", "file_lock"];

/// Begins every record.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// A [`Kind`].
    pub kind: u32,
    /// The CPU that wrote the record.
    pub cpu: u32,
    /// Counts the records that this CPU tried to write, from 1. A jump is a loss.
    pub seq: u64,
    /// `CLOCK_BOOTTIME`, ns.
    pub boot_ns: u64,
    /// The current process, in the initial pid namespace.
    pub tgid: u32,
    /// The current task, in the initial pid namespace.
    pub tid: u32,
    /// The current task's name, NUL-terminated.
    pub comm: [u8; COMM_LEN],
}

/// Payload of [`Kind::Fork`]; the header names the creator.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Fork {
    /// See [`crate::clone_flags`].
    pub clone_flags: u64,
    /// The new task.
    pub child_tid: u32,
    /// Zero.
    pub reserved: u32,
}

/// What is left in the maps of a child that is no longer at risk, for the collector to delete.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Leftover {
    /// [`crate::maps::Risk::fork_ns`], or zero: the process was not at risk.
    pub fork_ns: u64,
    /// Pages kept.
    pub pages: u32,
    /// Words in the map of wakes.
    pub woken_words: u32,
    /// Pages whose first write by the forking process was noted.
    pub written: u32,
    /// Notes of the child's faults on pages that were not there.
    pub absent: u32,
}

/// Payload of [`Kind::Exec`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Exec {
    /// What the old program leaves in the maps.
    pub leftover: Leftover,
    /// The tid that called exec; differs from the header's tid when it was not the leader.
    pub old_tid: u32,
    /// Bytes of `filename` with its NUL; zero or negative: it could not be read.
    pub filename_len: i32,
    /// Path of the new program, cut at [`FILENAME_LEN`].
    pub filename: [u8; FILENAME_LEN],
}

/// Payload of [`Kind::Exit`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Exit {
    /// What the process leaves in the maps, on its last thread's exit.
    pub leftover: Leftover,
    /// [`Exit::ALIVE`], [`Exit::GROUP_DEAD`] or [`Exit::UNKNOWN`].
    pub group: u32,
    /// The thread's wait status, see `wait(2)`, or [`Exit::NO_STATUS`].
    pub status: u32,
}

impl Exit {
    /// The status is not known.
    pub const NO_STATUS: u32 = u32::MAX;

    /// Other threads of the process are alive.
    pub const ALIVE: u32 = 0;
    /// This was the process's last thread.
    pub const GROUP_DEAD: u32 = 1;
    /// This kernel does not say (before 6.16).
    pub const UNKNOWN: u32 = 2;
}

/// Payload of [`Kind::WaitBegin`], and the beginning of [`WaitEnd`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WaitBegin {
    /// The wait.
    pub wait: crate::maps::WaitState,
}

/// Payload of [`Kind::WaitEnd`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WaitEnd {
    /// The wait.
    pub wait: crate::maps::WaitState,
    /// The system call's result.
    pub ret: i64,
}

/// Payload of [`Kind::Wake`].
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Wake {
    /// Address of the futex word.
    pub uaddr: u64,
    /// The system call's `op` with its flags.
    pub op: u32,
    /// Zero.
    pub reserved: u32,
}

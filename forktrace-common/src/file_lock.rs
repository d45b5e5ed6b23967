//! What the programs keep of locks on files.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Hash map, least recently used entries leave first: [`HeldKey`] of a description or a file → [`Held`].
pub const FILE_LOCKS: &str = "FILE_LOCKS";
/// The same: [`HeldKey`] of a process → [`HeldRanges`].
pub const POSIX_LOCKS: &str = "POSIX_LOCKS";

/// Most byte ranges that are followed of one process and file.
pub const RANGES: usize = 4;

/// Byte offsets in structures of the kernel, by its own description (BTF).
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LockOffsets {
    /// `flc_owner` of `struct file_lock_core` in `struct file_lock`; before Linux 6.9 `fl_owner` of the
    /// latter, likewise below.
    pub owner: u32,
    /// `flc_flags`.
    pub flags: u32,
    /// `flc_type`.
    pub kind: u32,
    /// `flc_file`.
    pub file: u32,
    /// `fl_start` of `struct file_lock`.
    pub start: u32,
    /// `fl_end`.
    pub end: u32,
    /// `i_ino` of `struct inode`.
    pub inode: u32,
    /// `i_sb`.
    pub superblock: u32,
    /// `s_dev` of `struct super_block`.
    pub device: u32,
    /// Zero.
    pub reserved: u32,
}

/// Identifies what is kept of a lock.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HeldKey {
    /// Whose the lock is: an open file description (`struct file`) or, of a POSIX lock, a table of
    /// descriptors (`struct files_struct`). 0: the latest lock of a description on the file.
    pub owner: u64,
    /// Address of the file's `struct inode`.
    pub inode: u64,
}

/// A byte range, its last byte included.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Range {
    /// The first byte.
    pub start: u64,
    /// The last byte.
    pub end: u64,
}

/// A lock that a traced process has taken. Times are `CLOCK_BOOTTIME`, ns.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Held {
    /// When it was taken.
    pub locked_ns: u64,
    /// When the first lock was taken that is known of this owner and file: names both in the log.
    pub first_ns: u64,
    /// Address of the description by which it was taken.
    pub file: u64,
    /// Acts since a second process has acted on it.
    pub acts: u64,
    /// The bytes, where it is of a byte range.
    pub range: Range,
    /// Who took it.
    pub tgid: u32,
    /// Its descriptor, -1: not known.
    pub fd: i32,
    /// 0: it was given back; of POSIX locks a bit for each of [`HeldRanges::ranges`].
    pub held: u32,
    /// 1: it excludes everybody else.
    pub exclusive: u32,
    /// 1: more than one process has acted on it.
    pub shared: u32,
    /// Of a file: 1, its lock was given back by another process than the one that took it. Of a
    /// description with POSIX locks: the other process that used it last.
    pub other: u32,
}

/// The POSIX locks that a process has on a file.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HeldRanges {
    /// The first of them that it took, of those that it has not given back.
    pub first: Held,
    /// Where the bit of `first.held` is set.
    pub ranges: [Range; RANGES],
}

/// What a process did with a lock.
pub mod act {
    /// It took it.
    pub const LOCKED: u32 = 1;
    /// It gave it back by a call.
    pub const RELEASED: u32 = 2;
    /// It closed the file, which gave the lock back.
    pub const CLOSED: u32 = 3;
    /// It did not get it at once.
    pub const REFUSED: u32 = 4;
    /// It took a lock by another description after the file's was given back by another process.
    pub const TAKEN: u32 = 5;
    /// It took a POSIX lock by a description by which another process had taken one.
    pub const USED: u32 = 6;
}

/// Sorts of locks.
pub mod sort {
    /// Of flock(2): belongs to the open file description.
    pub const FLOCK: u32 = 1;
    /// Of fcntl(2) and lockf(3): belongs to the process.
    pub const POSIX: u32 = 2;
    /// Of fcntl(2) with `F_OFD_SETLK`: a byte range that belongs to the open file description.
    pub const DESCRIPTION: u32 = 3;
}

/// Payload of [`crate::record::Kind::FileLock`].
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LockAct {
    /// What was known of the lock before.
    pub before: Held,
    /// The file's number, `st_ino`.
    pub inode: u64,
    /// The kernel's number of its device: major in the bits from 20 on.
    pub device: u32,
    /// See [`sort`].
    pub sort: u32,
    /// See [`act`].
    pub act: u32,
    /// 1: the act is about an exclusive lock.
    pub exclusive: u32,
    /// The descriptor that the process used, -1: not known.
    pub fd: i32,
    /// 1: it is that of `before`; of a POSIX lock that is closed, the lock was taken by it.
    pub same_file: u32,
}

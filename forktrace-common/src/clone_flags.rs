//! The bits of `clone_flags` that decide what a new task shares with its creator.
//!
//! Source: Linux `include/uapi/linux/sched.h` (read at 6.18; unchanged since 2.6).

/// The new task runs in its creator's address space.
pub const CLONE_VM: u64 = 0x0000_0100;
/// The creator is suspended until the new task execs or exits.
pub const CLONE_VFORK: u64 = 0x0000_4000;
/// The new task becomes a sibling of its creator instead of its child.
pub const CLONE_PARENT: u64 = 0x0000_8000;
/// The new task is a thread of its creator's process.
pub const CLONE_THREAD: u64 = 0x0001_0000;

/// Whether the new task is a thread of the creator's process.
pub const fn is_thread(flags: u64) -> bool {
    flags & CLONE_THREAD != 0
}

/// Whether the new task has a copy of its creator's memory, locks included.
///
/// Only such a task can inherit a lock in the held state.
pub const fn copies_memory(flags: u64) -> bool {
    flags & CLONE_VM == 0
}

//! Names, keys and values of the maps shared by the programs and the collector.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Ring buffer of [`crate::record`] records.
pub const EVENTS: &str = "EVENTS";
/// Hash map: tgid → 1 for every traced process.
pub const TRACED: &str = "TRACED";
/// Array of bytes by tgid, [`HINT_CHUNK`] in each entry: 1 where [`TRACED`] has an entry, else 0.
pub const TRACED_HINTS: &str = "TRACED_HINTS";
/// The same by tid, for [`WAITS`]; 1 also where it may have an entry.
pub const WAIT_HINTS: &str = "WAIT_HINTS";
/// The same by tgid: bit 0 is set where [`AT_RISK`] may have an entry, bit 1 where [`FORKERS`] may.
pub const RISK_HINTS: &str = "RISK_HINTS";
/// Hash map: tid → [`NewTask`], from `task_newtask` until `sched_process_fork` of the same clone.
pub const NEW_TASKS: &str = "NEW_TASKS";
/// Hash map: tid → [`WaitState`] of every traced task that is inside a futex wait.
pub const WAITS: &str = "WAITS";
/// Hash map: tgid → [`Risk`] of every traced child that has its own memory and has not exec'ed.
pub const AT_RISK: &str = "AT_RISK";
/// Array: place → [`Note`]; [`PLACES`] of them are a [`Chunk`]. Mapped by the collector, as the next.
pub const CHUNKS: &str = "CHUNKS";
/// Array: chunk → [`Owner`]: whose the chunk's notes and pages are.
pub const OWNERS: &str = "OWNERS";
/// Stack of chunks that nobody has, and whose pages have room in [`AREA`].
pub const FREE: &str = "FREE";
/// Stack of the other chunks that nobody has.
pub const FREE_BEYOND: &str = "FREE_BEYOND";
/// Array: place → the page as the child inherited it. The places of chunk *n* are those from
/// *n* × [`PLACES`] on.
pub const AREA: &str = "AREA";
/// Hash map: place beyond those of [`AREA`] → the first [`PAGE_HEAD`] bytes of the page.
pub const SNAPSHOTS: &str = "SNAPSHOTS";
/// Hash map: the same place → the [`PAGE_TAIL`] bytes after those in [`SNAPSHOTS`].
pub const TAILS: &str = "TAILS";
/// Hash map: tgid → [`Forker`]: the latest fork of every traced process that forked.
pub const FORKERS: &str = "FORKERS";
/// Hash map: [`WordKey`] → [`WakeState`]: futex words that an at-risk child has woken.
pub const WAKES: &str = "WAKES";
/// Hash map: tid → [`Attempt`]: the call of a lock function that the task is in (`--locks`).
pub const ATTEMPTS: &str = "ATTEMPTS";
/// Hash map: [`LockKey`] → [`Hold`]: who took a lock last (`--locks`).
pub const HOLDS: &str = "HOLDS";
/// Hash map, least recently used entries leave first: [`PastKey`] → [`Hold`]: locks released, or
/// taken by another thread, that were held at a fork (`--locks`).
pub const PAST_HOLDS: &str = "PAST_HOLDS";
/// Hash map: tgid → [`ForkWindow`] of the process's latest fork (`--locks`).
pub const FORK_WINDOWS: &str = "FORK_WINDOWS";
/// Per-CPU array: [`crate::record::Kind`] → number of records that did not fit in the ring.
pub const DROPS: &str = "DROPS";
/// Per-CPU array: index of [`Counter`] → count.
pub const COUNTERS: &str = "COUNTERS";

/// Bytes in one entry of an array of hints. A whole page, so that the array can be mapped.
pub const HINT_CHUNK: usize = 4096;

/// The tables above whose sizes can be chosen.
pub const TABLES: [&str; 17] = [
    TRACED,
    NEW_TASKS,
    WAITS,
    AT_RISK,
    CHUNKS,
    OWNERS,
    FREE,
    FREE_BEYOND,
    AREA,
    SNAPSHOTS,
    TAILS,
    FORKERS,
    WAKES,
    ATTEMPTS,
    HOLDS,
    PAST_HOLDS,
    FORK_WINDOWS,
];

/// Bytes of a page as it is kept. Nothing is traced where the kernel's pages have another size.
pub const PAGE_SIZE: usize = 4096;
/// The most pages that [`AREA`] has room for. They take 17 MB for good, and keeping a page there takes
/// no memory from the kernel's allocator.
pub const AREA_PAGES: u32 = 4096;
/// Notes of a [`Chunk`], and places for their pages.
pub const PLACES: u32 = 8;
/// Bytes of a page that fit into one map entry of 4096 bytes. The kernel rounds entries up to a power
/// of two, so that one with a whole page would take 8192: beside the value there are 48 bytes of
/// `struct htab_elem` (`kernel/bpf/hashtab.c`), the key, rounded up to 8, and 8 of the allocator's list
/// (`kernel/bpf/memalloc.c`, Linux 6.18).
pub const PAGE_HEAD: usize = PAGE_SIZE - 48 - 8 - 8;
/// The other bytes of a page.
pub const PAGE_TAIL: usize = PAGE_SIZE - PAGE_HEAD;

/// One task's wait, from the entry of a futex system call until its exit. The collector adds those
/// that had begun before the programs were attached.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WaitState {
    /// `CLOCK_BOOTTIME` at system call entry, ns.
    pub enter_ns: u64,
    /// Address of the futex word (of the `futex_waitv` array for [`crate::futex::OP_WAITV`]).
    pub uaddr: u64,
    /// Expected value (number of futexes for [`crate::futex::OP_WAITV`]).
    pub val: u64,
    /// The system call's `op` with its flags, or one of the `OP_*` marks of [`crate::futex`].
    pub op: u32,
    /// 1: the wait has a timeout.
    pub timed: u32,
    /// The waiter's process.
    pub tgid: u32,
    /// The waiter.
    pub tid: u32,
    /// 1: a signal interrupted the wait and the kernel is about to restart it. `enter_ns` is kept
    /// across restarts, so that a profiler's timer does not make a hang look young for ever.
    pub restarting: u32,
    /// 1: put here by the collector, which found the task in this wait: it began before `enter_ns`.
    pub found: u32,
}

/// What the programs know of a child that could block on an inherited lock.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Risk {
    /// `CLOCK_BOOTTIME` of the fork, ns. With the tgid, the child's identity in the maps.
    pub fork_ns: u64,
    /// Pages kept so far. Threads that add at the same time may make it too few.
    pub pages: u32,
    /// Futex words in [`WAKES`] for this child.
    pub woken_words: u32,
    /// 1: a page could not be kept. From here on a missing page proves nothing, and none is taken.
    ///
    /// This and its neighbours are words of their own, not bits of one: threads of the child set
    /// them at the same time, and old kernels have no atomic "or" for programs.
    pub table_full: u32,
    /// 1: the child itself forked. A later write fault may show bytes that it wrote before.
    pub forked: u32,
    /// 1: a wake could not be recorded. "Never woken" can no longer be said.
    pub wakes_lost: u32,
    /// The thread that called fork.
    pub fork_tid: u32,
    /// Pages whose first write by the forking process was noted.
    pub written: u32,
    /// 1: a write by the forking process could not be noted. From here on a later one may pass for the
    /// first, and none is noted.
    pub writes_lost: u32,
    /// 1: the child has made another task, which may have this memory too.
    pub threads: u32,
    /// Notes of the side [`SIDE_ABSENT`].
    pub absent: u32,
    /// `CLOCK_BOOTTIME` of the entry of the fork system call, ns; 0: not known (without `--locks`).
    /// The memory was copied between this and `fork_ns`.
    pub enter_ns: u64,
    /// The registers of the thread that called fork, at the fork; all zero: not known.
    pub at_fork: Registers,
    /// The signals that that thread had blocked at the fork, a bit for each from 1 on; 0: none, or not
    /// known.
    pub blocked: u64,
}

/// The registers of user space that unwinding begins with: where a task was, and those that a
/// function must preserve for its caller.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Registers {
    /// Instruction pointer.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer: `rbp` on x86-64.
    pub frame: u64,
    /// Others: `rbx` and `r12` to `r15` on x86-64 (System V ABI, AMD64 supplement, 3.2.1).
    pub preserved: [u64; 5],
}

/// The latest fork of a process. Its first write to each page since then is noted for as long as
/// that child is at risk.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Forker {
    /// [`Risk::fork_ns`] of the child.
    pub fork_ns: u64,
    /// The child's tgid.
    pub child: u32,
    /// Zero.
    pub reserved: u32,
}

/// Whose a chunk is. All zero: nobody's.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Owner {
    /// [`Risk::fork_ns`] of the child. Written last, and zeroed first.
    pub fork_ns: u64,
    /// The child's tgid.
    pub tgid: u32,
    /// [`SIDE_CHILD`] or [`SIDE_FORKER`]: who made the writes that are noted; or [`SIDE_ABSENT`].
    pub side: u32,
}

/// Notes of first writes, each beside the place of its page.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Chunk {
    /// In the order in which one CPU made them.
    pub notes: [Note; PLACES as usize],
}

/// A write to a page after a fork. The first of several notes of one page is that with the least time.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Note {
    /// The write.
    pub touch: Touch,
    /// Address of the page's first byte; zero: no note. Written last.
    pub page: u64,
}

/// The child wrote.
pub const SIDE_CHILD: u32 = 0;
/// The process that forked wrote, before it forked again.
pub const SIDE_FORKER: u32 = 1;
/// A thread of the child used a page that was not there, or not readable. What another thread's fault
/// keeps of that page may be what this one wrote.
pub const SIDE_ABSENT: u32 = 2;

/// The first write to a page after a fork, as its fault told before it was made.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Touch {
    /// `CLOCK_BOOTTIME`, ns: after the page was kept, before the fault was handled.
    pub boot_ns: u64,
    /// The address that was written.
    pub address: u64,
    /// The instruction that wrote; zero: not known.
    pub ip: u64,
    /// `CLOCK_BOOTTIME` of the latest fault by another thread on the same page, ns; zero: none.
    /// Threads may fault at once, and then it is not known whose write came first.
    pub other_ns: u64,
    /// The thread that wrote.
    pub tid: u32,
    /// How often it had blocked by then, plus one, the low half; zero: not known.
    pub switches: u32,
}

/// What `task_newtask` tells of a clone under way.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NewTask {
    /// See [`crate::clone_flags`].
    pub clone_flags: u64,
    /// The new task.
    pub child_tid: u32,
    /// Zero.
    pub reserved: u32,
}

/// Identifies a futex word of one child.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WordKey {
    /// [`Risk::fork_ns`] of the child.
    pub fork_ns: u64,
    /// Address of the futex word.
    pub uaddr: u64,
    /// The child's tgid.
    pub tgid: u32,
    /// Zero.
    pub reserved: u32,
}

/// How often a child woke a word.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WakeState {
    /// Wakes since the fork.
    pub count: u64,
    /// `CLOCK_BOOTTIME` of the latest, ns.
    pub last_ns: u64,
}

/// A call of a lock function under way.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Attempt {
    /// Address of the lock.
    pub addr: u64,
    /// Return address of the call.
    pub caller: u64,
}

/// Identifies a lock of one process.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LockKey {
    /// Address of the lock.
    pub addr: u64,
    /// The process.
    pub tgid: u32,
    /// Zero.
    pub reserved: u32,
}

/// Identifies a hold that is over and that covered (part of) a fork.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PastKey {
    /// Address of the lock.
    pub addr: u64,
    /// [`ForkWindow::enter_ns`] of the process's latest fork when the hold ended.
    pub enter_ns: u64,
    /// The process.
    pub tgid: u32,
    /// The thread that held the lock.
    pub tid: u32,
}

/// One thread's possession of a lock. Times are `CLOCK_BOOTTIME`, ns.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Hold {
    /// When the lock function returned with the lock.
    pub since_ns: u64,
    /// When the lock was released (or found in another's possession); 0: not yet.
    pub until_ns: u64,
    /// Return address of the call that took it.
    pub caller: u64,
    /// The thread.
    pub tid: u32,
    /// How often it has it, for recursive locks.
    pub depth: u32,
    /// The thread that released it; 0: not yet, or not seen.
    pub until_tid: u32,
    /// Zero.
    pub reserved: u32,
}

/// When a process's memory was copied. Times are `CLOCK_BOOTTIME`, ns.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ForkWindow {
    /// Entry of the system call: the copy was made after this.
    pub enter_ns: u64,
    /// `sched_process_fork`: it was complete before this. 0: the fork is under way.
    pub end_ns: u64,
}

/// Exact counts kept in the kernel beside the ring's drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Counter {
    /// Futex waits entered by traced tasks.
    Waits = 0,
    /// Futex wakes by traced tasks.
    Wakes = 1,
    /// Waits that the table of waits had no room for.
    WaitsUntracked = 2,
    /// Children that the table of children at risk had no room for.
    ChildrenUntracked = 3,
    /// Pages kept as inherited.
    PagesKept = 4,
    /// Pages not kept: the child's or the total limit was reached, or memory was short.
    PagesRefused = 5,
    /// Processes that the table of traced processes had no room for.
    ProcessesUntraced = 6,
    /// Calls of lock functions seen (`--locks`).
    LockCalls = 7,
    /// Calls of lock functions that the tables had no room for (`--locks`).
    LockCallsUntracked = 8,
}

/// Number of [`Counter`]s.
pub const COUNTERS_LEN: u32 = 9;

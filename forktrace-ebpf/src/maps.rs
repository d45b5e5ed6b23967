//! The maps; their meaning is documented beside their names in [`forktrace_common::maps`].
//!
//! Sizes are defaults that the collector overrides. Tables that are large or seldom full are not
//! preallocated, so that they cost memory only for what they hold.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf, Stack},
};
use forktrace_common::{
    file_lock::{Held, HeldKey, HeldRanges},
    maps::{
        AREA_PAGES, Attempt, COUNTERS_LEN, Counter, ForkWindow, Forker, HINT_CHUNK, Hold, LockKey,
        NewTask, Note, Owner, PAGE_HEAD, PAGE_SIZE, PAGE_TAIL, PLACES, PastKey, Risk, WaitState,
        WakeState, WordKey,
    },
    record::KINDS,
    socket::{SocketState, SocketUse, UseKey},
};

use crate::{
    pid_bitmap::Hints,
    places::{CURSOR_ENTRIES, Cursor, SEEN_ENTRIES, Seen},
};

#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 24, 0);

#[map]
pub(crate) static TRACED: HashMap<u32, u32> = HashMap::with_max_entries(1 << 17, BPF_F_NO_PREALLOC);

/// For numbers up to 2²², which no kernel exceeds (`PID_MAX_LIMIT`, `include/linux/threads.h`, 6.18).
const HINT_CHUNKS: u32 = (1 << 22) / HINT_CHUNK as u32;

#[map]
pub(crate) static TRACED_HINTS: Hints = Array::with_max_entries(HINT_CHUNKS, BPF_F_MMAPABLE);

#[map]
pub(crate) static WAIT_HINTS: Hints = Array::with_max_entries(HINT_CHUNKS, BPF_F_MMAPABLE);

#[map]
pub(crate) static RISK_HINTS: Hints = Array::with_max_entries(HINT_CHUNKS, 0);

#[map]
pub(crate) static FORK_FAMILY: Hints = Array::with_max_entries(HINT_CHUNKS, BPF_F_MMAPABLE);

#[map]
pub(crate) static SOCKETS: LruHashMap<u64, SocketState> = LruHashMap::with_max_entries(1 << 14, 0);

#[map]
pub(crate) static SOCKET_USES: LruHashMap<UseKey, SocketUse> =
    LruHashMap::with_max_entries(1 << 12, 0);

#[map]
pub(crate) static FILE_LOCKS: LruHashMap<HeldKey, Held> = LruHashMap::with_max_entries(1 << 12, 0);

#[map]
pub(crate) static POSIX_LOCKS: LruHashMap<HeldKey, HeldRanges> =
    LruHashMap::with_max_entries(1 << 12, 0);

/// What a process is said to hold before its first lock; never written.
#[map]
pub(crate) static NO_RANGES: Array<HeldRanges> = Array::with_max_entries(1, 0);

#[map]
pub(crate) static NEW_TASKS: HashMap<u32, NewTask> =
    HashMap::with_max_entries(1 << 14, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static WAITS: HashMap<u32, WaitState> = HashMap::with_max_entries(1 << 16, 0);

#[map]
pub(crate) static AT_RISK: HashMap<u32, Risk> =
    HashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static CHUNKS: Array<Note> = Array::with_max_entries(1 << 16, BPF_F_MMAPABLE);

#[map]
pub(crate) static OWNERS: Array<Owner> = Array::with_max_entries(1 << 13, BPF_F_MMAPABLE);

#[map]
pub(crate) static FREE: Stack<u32> = Stack::with_max_entries(AREA_PAGES / PLACES, 0);

#[map]
pub(crate) static FREE_BEYOND: Stack<u32> = Stack::with_max_entries(1 << 13, 0);

#[map]
pub(crate) static AREA: Array<[u8; PAGE_SIZE]> = Array::with_max_entries(AREA_PAGES, 0);

#[map]
pub(crate) static SNAPSHOTS: HashMap<u32, [u8; PAGE_HEAD]> =
    HashMap::with_max_entries(1 << 15, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static TAILS: HashMap<u32, [u8; PAGE_TAIL]> =
    HashMap::with_max_entries(1 << 15, BPF_F_NO_PREALLOC);

/// What this CPU has noted lately, see [`crate::places`].
#[map]
pub(crate) static SEEN: PerCpuArray<Seen> = PerCpuArray::with_max_entries(SEEN_ENTRIES, 0);

/// The chunks that this CPU fills.
#[map]
pub(crate) static CURSORS: PerCpuArray<Cursor> = PerCpuArray::with_max_entries(CURSOR_ENTRIES, 0);

#[map]
pub(crate) static FORKERS: HashMap<u32, Forker> =
    HashMap::with_max_entries(1 << 15, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static WAKES: HashMap<WordKey, WakeState> =
    HashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static ATTEMPTS: HashMap<u32, Attempt> =
    HashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static HOLDS: HashMap<LockKey, Hold> =
    HashMap::with_max_entries(1 << 18, BPF_F_NO_PREALLOC);

#[map]
pub(crate) static PAST_HOLDS: LruHashMap<PastKey, Hold> = LruHashMap::with_max_entries(1 << 14, 0);

#[map]
pub(crate) static FORK_WINDOWS: HashMap<u32, ForkWindow> =
    HashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);

/// Room for one page per CPU: a page is too large for the program's stack.
#[map]
pub(crate) static SCRATCH: PerCpuArray<[u8; PAGE_SIZE]> = PerCpuArray::with_max_entries(1, 0);

/// The number of records this CPU has tried to write.
#[map]
pub(crate) static SEQUENCE: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

#[map]
pub(crate) static DROPS: PerCpuArray<u64> = PerCpuArray::with_max_entries(KINDS, 0);

#[map]
pub(crate) static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(COUNTERS_LEN, 0);

/// Adds one to a per-CPU count. Programs on tracepoints do not nest on one CPU
/// (`trace_call_bpf`, `kernel/trace/bpf_trace.c`), so a plain addition is exact.
#[inline(always)]
pub(crate) fn bump(array: &PerCpuArray<u64>, index: u32) -> u64 {
    match array.get_ptr_mut(index) {
        Some(slot) => {
            // SAFETY: the slot is this CPU's own and outlives the program.
            unsafe {
                *slot += 1;
                *slot
            }
        }
        None => 0,
    }
}

/// Adds one to a [`Counter`].
#[inline(always)]
pub(crate) fn count(counter: Counter) {
    bump(&COUNTERS, counter as u32);
}

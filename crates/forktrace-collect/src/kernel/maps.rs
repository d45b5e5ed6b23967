//! Typed access to the programs' maps.

use std::collections::BTreeMap;

use aya::{
    Ebpf,
    maps::{MapData, PerCpuArray},
};
use forktrace_common::{
    maps::{
        AT_RISK, COUNTERS, COUNTERS_LEN, DROPS, FORK_WINDOWS, FORKERS, ForkWindow, Forker, HOLDS,
        Hold, LockKey, PAST_HOLDS, PastKey, Risk, TRACED, TRACED_HINTS, WAIT_HINTS, WAITS,
        WaitState,
    },
    record::{KIND_NAMES, Leftover},
    socket::FORK_FAMILY,
};

use super::{
    Error,
    batch::Batch,
    cleaner::{Cleaner, Leavings},
    error::refused,
    handles::{Map, hash_map, ignore_missing, key, per_cpu, value},
    missed_runs::Misses,
    pid_bitmap::Hints,
    realtime::Unpreempted,
    remains::Remains,
};
use forktrace_model::event::Counter;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Do not replace an entry (`include/uapi/linux/bpf.h`).
const BPF_NOEXIST: u64 = 1;

/// Exact counts kept in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records that did not fit in the ring, by kind, and runs of programs that the kernel left out;
    /// kinds without a loss are left out.
    pub dropped: BTreeMap<String, u64>,
    /// The other counts.
    pub others: BTreeMap<Counter, u64>,
}

impl Counters {
    /// Records lost in all.
    pub fn lost(&self) -> u64 {
        self.dropped.values().sum()
    }
}

/// The maps shared with the programs. Keys and values are bytes here; see [`maps`] for their types.
pub struct Maps {
    traced: Map<u32, u32>,
    traced_hints: Hints,
    waits: Map<u32, [u8; size_of::<WaitState>()]>,
    wait_hints: Hints,
    fork_family: Hints,
    at_risk: Map<u32, [u8; size_of::<Risk>()]>,
    forkers: Map<u32, [u8; size_of::<Forker>()]>,
    holds: Map<[u8; size_of::<LockKey>()], [u8; size_of::<Hold>()]>,
    past_holds: Map<[u8; size_of::<PastKey>()], [u8; size_of::<Hold>()]>,
    fork_windows: Map<u32, [u8; size_of::<ForkWindow>()]>,
    drops: PerCpuArray<MapData, u64>,
    counters: PerCpuArray<MapData, u64>,
    misses: Misses,
    cleaner: Cleaner,
    /// Where what ended children left is handed on.
    remains: Option<UnboundedReceiver<Remains>>,
    all_waits: Batch,
    futex_on: bool,
}

impl Maps {
    /// `futex_on`: waits and wakes are seen.
    pub(super) fn take(ebpf: &mut Ebpf, leavings: Leavings, futex_on: bool) -> Result<Self, Error> {
        let (sender, remains) = unbounded_channel();
        let cleaner = Cleaner::start(leavings, sender).map_err(|e| refused("a thread", &e))?;
        Ok(Maps {
            cleaner,
            remains: Some(remains),
            all_waits: Batch::open(ebpf, WAITS)?,
            traced: hash_map(ebpf, TRACED)?,
            traced_hints: Hints::open(ebpf, TRACED_HINTS)?,
            waits: hash_map(ebpf, WAITS)?,
            wait_hints: Hints::open(ebpf, WAIT_HINTS)?,
            fork_family: Hints::open(ebpf, FORK_FAMILY)?,
            at_risk: hash_map(ebpf, AT_RISK)?,
            forkers: hash_map(ebpf, FORKERS)?,
            holds: hash_map(ebpf, HOLDS)?,
            past_holds: hash_map(ebpf, PAST_HOLDS)?,
            fork_windows: hash_map(ebpf, FORK_WINDOWS)?,
            drops: per_cpu(ebpf, DROPS)?,
            counters: per_cpu(ebpf, COUNTERS)?,
            misses: Misses::of(ebpf),
            futex_on,
        })
    }

    /// Traces a process. Its future children are followed from here on.
    ///
    /// # Errors
    /// When the table of traced processes is full.
    pub fn trace(&mut self, pid: u32) -> Result<(), Error> {
        let _unpreempted = Unpreempted::here();
        self.traced.insert(pid, 1, 0).map_err(|e| refused("another traced process", &e))?;
        self.traced_hints.note(pid);
        Ok(())
    }

    /// Has the uses of sockets counted of a process that was there before the trace and may have been
    /// forked, or have forked.
    pub fn count_socket_uses(&self, pid: u32) {
        self.fork_family.note(pid);
    }

    /// The processes that are traced now (none are listed when the whole host is).
    pub fn traced(&self) -> Vec<u32> {
        let _unpreempted = Unpreempted::here();
        self.traced.keys().filter_map(Result::ok).collect()
    }

    /// Every wait, however short.
    pub fn waits(&self) -> Vec<WaitState> {
        let _unpreempted = Unpreempted::here();
        const TID: usize = size_of::<u32>();
        match self.all_waits.values::<TID, { size_of::<WaitState>() }>() {
            Ok(waits) => waits.iter().map(|bytes| value::<WaitState>(bytes)).collect(),
            Err(error) => {
                tracing::trace!("reading the waits at once: {error}");
                let waits = self.waits.iter().filter_map(Result::ok);
                waits.map(|(_, bytes)| value::<WaitState>(&bytes)).collect()
            }
        }
    }

    /// Adds a wait that had begun before the programs were attached, unless the thread has begun
    /// another one since. False: it was not added.
    pub fn add_found_wait(&mut self, wait: &WaitState) -> bool {
        let _unpreempted = Unpreempted::here();
        self.wait_hints.note(wait.tid);
        self.waits.insert(wait.tid, key::<_, { size_of::<WaitState>() }>(wait), BPF_NOEXIST).is_ok()
    }

    /// Takes a wait back that was added though it was over already.
    pub fn remove_found_wait(&mut self, wait: &WaitState) {
        let _unpreempted = Unpreempted::here();
        let entry = self.waits.get(&wait.tid, 0).map(|bytes| value::<WaitState>(&bytes));
        if entry.is_ok_and(|entry| entry.found != 0 && entry.enter_ns == wait.enter_ns) {
            ignore_missing(self.waits.remove(&wait.tid));
        }
    }

    /// Deletes what a child left behind at its exec or end, in the background. `is_read`: it is handed on
    /// before, through [`Maps::take_remains`].
    pub fn clean(&self, tgid: u32, leftover: Leftover, is_read: bool) {
        self.cleaner.clean(tgid, leftover, is_read);
    }

    /// Forgets an ended process on kernels whose exit tracepoint does not say "last thread".
    pub fn forget(&mut self, pid: u32) {
        let _unpreempted = Unpreempted::here();
        ignore_missing(self.traced.remove(&pid));
        self.traced_hints.clear(pid);
        self.fork_family.clear(pid);
        ignore_missing(self.forkers.remove(&pid));
        if let Some(risk) = self.risk(pid) {
            ignore_missing(self.at_risk.remove(&pid));
            let Risk { fork_ns, pages, woken_words, written, absent, .. } = risk;
            let leftover = Leftover { fork_ns, pages, woken_words, written, absent };
            self.clean(pid, leftover, false);
        }
    }

    /// Where what ended children left is handed on; once.
    pub fn take_remains(&mut self) -> Option<UnboundedReceiver<Remains>> {
        self.remains.take()
    }

    /// Deletes everything that belongs to no child at risk, in the background: after a loss, exits may
    /// not have told what they left.
    pub fn sweep(&self) {
        self.cleaner.sweep();
    }

    /// Counts so far.
    pub fn counters(&self) -> Counters {
        // Files are read for it: not as a real-time thread.
        let left_out = self.misses.by_program();
        if !left_out.is_empty() {
            tracing::debug!(?left_out, "program runs that the kernel left out");
        }
        let not_run = left_out.values().fold(0, |all: u64, count| all.saturating_add(*count));
        let _unpreempted = Unpreempted::here();
        let dropped = (0u32..)
            .zip(KIND_NAMES)
            .map(|(index, name)| (name.to_owned(), total(&self.drops, index)))
            .chain([(NOT_RUN.to_owned(), not_run)])
            .filter(|(_, count)| *count > 0)
            .collect();
        let others = (0..COUNTERS_LEN)
            .zip(IN_KERNEL)
            .filter(|(_, counter)| self.futex_on || !OF_FUTEX_CALLS.contains(counter))
            .map(|(index, counter)| (counter, total(&self.counters, index)))
            .collect();
        Counters { dropped, others }
    }

    fn risk(&self, pid: u32) -> Option<Risk> {
        self.at_risk.get(&pid, 0).ok().map(|bytes| value(&bytes))
    }

    /// Forgets what was seen of the locks of a process that ended or runs another program.
    pub fn forget_locks(&mut self, pid: u32) {
        {
            let _unpreempted = Unpreempted::here();
            ignore_missing(self.fork_windows.remove(&pid));
        }
        let keys: Vec<_> = self.holds.keys().filter_map(Result::ok).collect();
        for bytes in keys.into_iter().filter(|bytes| value::<LockKey>(bytes).tgid == pid) {
            let _unpreempted = Unpreempted::here();
            ignore_missing(self.holds.remove(&bytes));
        }
        let keys: Vec<_> = self.past_holds.keys().filter_map(Result::ok).collect();
        for bytes in keys.into_iter().filter(|bytes| value::<PastKey>(bytes).tgid == pid) {
            let _unpreempted = Unpreempted::here();
            ignore_missing(self.past_holds.remove(&bytes));
        }
    }
}

/// What the programs count, by [`forktrace_common::maps::Counter`].
const IN_KERNEL: [Counter; COUNTERS_LEN as usize] = [
    Counter::FutexWaits,
    Counter::FutexWakes,
    Counter::WaitsUntracked,
    Counter::ChildrenUntracked,
    Counter::PagesKept,
    Counter::PagesRefused,
    Counter::ProcessesUntraced,
    Counter::LockCalls,
    Counter::LockCallsUntracked,
];

/// Runs that the kernel left out, among the losses by kind.
const NOT_RUN: &str = "not_run";

/// Those that say nothing where waits and wakes are not seen.
const OF_FUTEX_CALLS: [Counter; 3] =
    [Counter::FutexWaits, Counter::FutexWakes, Counter::WaitsUntracked];

fn total(array: &PerCpuArray<MapData, u64>, index: u32) -> u64 {
    array.get(&index, 0).map_or(0, |values| values.iter().sum())
}

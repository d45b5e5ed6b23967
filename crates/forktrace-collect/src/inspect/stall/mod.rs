//! What the blocked threads of a process wait for, who could end their waits, for what those wait, and
//! so on: read without stopping anybody.
//!
//! Each task is looked at twice. One that has not run in between was in its call all the time, and so
//! was everything that it waits for. In between it is read who has the other ends. A process that was
//! not known to be concerned may have handed on such an end before it was looked at for the first time:
//! if somebody seems to be stuck, all is read once more, and only what has not changed since the first
//! time is believed.

mod call;
mod file_locks;
pub(super) mod files;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzed;
mod graph;
mod host;
pub mod look;
mod networks;
mod not_understood;
mod polled;
mod process;
mod rings;
mod semaphores;
mod socket_timeout;
mod sysv;
mod tcp_sockets;
#[cfg(test)]
mod tests;
mod things;
mod unix_sockets;
mod users;
mod waited_by;
mod words;

use forktrace_model::{
    event::stall::{Cut, Polls, Stall, StallTask},
    hazards::stuck_thread,
};
use rustc_hash::FxHashMap;

use self::{graph::Graph, host::Host, look::Look};
pub use self::{
    networks::InNetworkOf,
    process::runtime_of,
    sysv::{ReadSemaphore, Recorded},
    waited_by::waited_by,
};

/// How often it is read until nothing changes.
const ROUNDS: usize = 3;

/// A thread that is known not to have moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// How it was found.
    pub look: Look,
    /// Since when, `CLOCK_BOOTTIME`, ns.
    pub since_ns: u64,
    /// How it polls, if it does.
    pub polls: Option<Polling>,
}

/// A thread that goes back to the same wait again and again, as it was when that was first seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polling {
    /// When that was, `CLOCK_BOOTTIME`, ns.
    pub since_ns: u64,
    /// Number and place of its call.
    pub call: (i64, (u64, u64)),
    /// How often it had blocked.
    pub blocked: u64,
    /// CPU time that it had taken, ns.
    pub cpu_ns: u64,
    /// Reads and writes that it had made.
    pub transfers: Option<u64>,
}

/// What else is asked of the kernel, which may need privilege.
#[derive(Clone, Copy, Debug)]
pub struct Asks {
    /// Reads a System V semaphore.
    pub semaphore: ReadSemaphore,
    /// Enters another network namespace.
    pub network: InNetworkOf,
}

/// What is known of threads, by (pid, tid).
pub type KnownThreads = FxHashMap<(u32, u32), Known>;

/// Reads the stalls of processes, in their order. `known`: what is known of threads. Takes at least
/// 30 ms, and some ms more for what all processes of the host have open and mapped: not for an async
/// task. Python frames, the native stack and what can be learnt of an unseen fork are left out.
pub fn read(pids: &[u32], known: &KnownThreads, asks: Asks) -> Vec<(u32, Stall)> {
    let mut found: Vec<(u32, Stall)> = Vec::new();
    let mut left = pids.to_vec();
    let mut before: Option<FxHashMap<u32, Look>> = None;
    for round in 0..ROUNDS {
        let host = Host::default();
        let (stalls, looks) = once(&host, &left, known, asks);
        left.clear();
        for (pid, mut stall) in stalls {
            let mut stuck = stuck_thread(&stall, pid).is_some();
            if stuck && host.has_in_messages() {
                stall.in_messages = true;
                stuck = stuck_thread(&stall, pid).is_some();
            }
            let moved = match &before {
                Some(before) => moved(&stall, before, &looks),
                None => (0..stall.tasks.len()).collect(),
            };
            let last = round + 1 == ROUNDS;
            if stuck && !moved.is_empty() && last {
                // Who moved meanwhile can run. What is said of the others was so all the time.
                stall.cut = Some(Cut::Changed);
                graph::set_unknown(&mut stall, &moved);
            }
            if stuck && !moved.is_empty() && !last {
                left.push(pid);
            } else {
                found.push((pid, stall));
            }
        }
        if left.is_empty() {
            break;
        }
        before = Some(looks);
    }
    found
}

/// The places of the tasks of a stall that wait and have run since they were looked at the time before.
fn moved(stall: &Stall, before: &FxHashMap<u32, Look>, now: &FxHashMap<u32, Look>) -> Vec<usize> {
    let moved = |(at, task): (usize, &StallTask)| {
        let both = before.get(&task.tid).zip(now.get(&task.tid));
        // Who runs needs no proof.
        let goes_on = |before: &Look, now: &Look| match graph::polls(task) {
            true => now.may_poll(before),
            false => now.is_still(before),
        };
        let same = !graph::waits(task) || both.is_some_and(|(before, now)| goes_on(before, now));
        (!same).then_some(at)
    };
    stall.tasks.iter().enumerate().filter_map(moved).collect()
}

fn once(
    host: &Host,
    pids: &[u32],
    known: &KnownThreads,
    asks: Asks,
) -> (Vec<(u32, Stall)>, FxHashMap<u32, Look>) {
    let mut graph = Graph::new(host, known, asks);
    for pid in pids {
        graph.follow(*pid);
    }
    graph.look_again();
    let stalls = pids.iter().map(|pid| (*pid, graph.stall(*pid))).collect();
    (stalls, graph.looks())
}

/// How a thread that polls goes on, by what it was like at first; `None`: not known.
pub(super) fn polls(pid: u32, look: &Look, then: &Polling) -> Option<Polls> {
    let now = polling(pid, look, 0)?;
    Some(Polls {
        times: now.blocked.saturating_sub(then.blocked),
        since_ns: then.since_ns,
        cpu_ns: now.cpu_ns.saturating_sub(then.cpu_ns),
        transfers: now.transfers.zip(then.transfers).map(|(now, then)| now.saturating_sub(then)),
    })
}

/// What a thread that may poll is like at `now_ns`, `CLOCK_BOOTTIME`, ns; `None`: it is in no call, or
/// cannot be read.
pub fn polling(pid: u32, look: &Look, now_ns: u64) -> Option<Polling> {
    let look::Doing::Blocked(blocked) = look.doing else { return None };
    let tid = look.tid;
    let status = super::proc_text::Status::of(pid, tid).ok()?;
    let io = super::proc_text::small(pid, &format!("{pid}/task/{tid}/io")).ok();
    Some(Polling {
        since_ns: now_ns,
        call: (blocked.number, blocked.place),
        blocked: status.blocked?,
        cpu_ns: look.cpu_ns?,
        transfers: io.as_deref().and_then(transfers),
    })
}

/// Reads and writes of a task (`syscr` and `syscw`; `do_io_accounting`, `fs/proc/base.c`, Linux 6.18).
fn transfers(io: &str) -> Option<u64> {
    let of = |name: &str| {
        let line = io.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix(':')?.trim().parse::<u64>().ok()
    };
    of("syscr")?.checked_add(of("syscw")?)
}

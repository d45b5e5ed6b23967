//! `--locks`: which processes are to be probed, and what the probes saw of one lock.
//!
//! Only processes with several threads: in one with a single thread there is no question of who
//! holds a lock, and most processes, a shell's for example, never have a second.

use forktrace_model::{
    event::{Body, Event, Hold, Probed},
    model::{Model, Process},
};

use crate::kernel::{ForkRecords, LockProbes};

/// How far before the futex word a lock's address may be, bytes: a `pthread_rwlock_t` waits on its
/// second to fourth word.
const BEFORE: u64 = 16;

/// Probes a process that has, or gets, more than one thread.
pub(super) fn consider(probes: &LockProbes, event: &Event) {
    let Some(task) = &event.task else { return };
    let threads = match &event.body {
        Body::ThreadStart(_) => true,
        Body::ProcessSnapshot(seen) => seen.threads.len() > 1,
        // The new program begins with one thread and may use another library.
        Body::ProcessExec(_) => {
            probes.detach(task.pid);
            false
        }
        _ => false,
    };
    if threads && probes.since_ns(task.pid).is_none() {
        probes.attach(task.pid);
    }
}

/// What is asked of the probes about the lock around a futex word of a forked process.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pid: u32,
    parent: u32,
    fork_ns: u64,
    /// What was seen earlier in the parent was about other memory: it was before the parent's own
    /// exec, or of an earlier process of its number.
    born_ns: u64,
    /// Where the lock may be.
    places: Vec<u64>,
    child_since_ns: Option<u64>,
    parent_since_ns: Option<u64>,
}

impl Question {
    /// About the lock around `uaddr`.
    pub(super) fn of(
        locks: &LockProbes,
        process: &Process,
        uaddr: u64,
        model: &Model,
    ) -> Option<Self> {
        let fork = process.inherited()?;
        let parent = fork.by.and_then(|id| model.get(id));
        let places = (0..=BEFORE).step_by(4).filter_map(|back| uaddr.checked_sub(back));
        Some(Question {
            pid: process.pid,
            parent: fork.by_pid,
            fork_ns: fork.boot_ns,
            born_ns: parent.map_or(0, |parent| {
                parent.exec.as_ref().map_or(parent.start_ns, |exec| exec.boot_ns)
            }),
            places: places.collect(),
            child_since_ns: locks.since_ns(process.pid),
            parent_since_ns: locks.since_ns(fork.by_pid),
        })
    }

    /// What was seen, and in which parent.
    pub(super) fn answer(&self, records: &ForkRecords) -> (u32, Probed) {
        let holds = records.holds_at_fork(self.pid, self.parent, &self.places).into_iter();
        let holds = holds.filter(|(_, hold)| hold.since_ns >= self.born_ns);
        let holds = holds.map(|(address, hold)| Hold {
            address,
            tid: hold.tid,
            since_ns: hold.since_ns,
            until_ns: (hold.until_ns != 0).then_some(hold.until_ns),
            until_tid: (hold.until_tid != 0).then_some(hold.until_tid),
            caller: hold.caller,
            place: None,
        });
        let used = |address: &u64| {
            let seen = records.hold(self.pid, *address);
            seen.is_some_and(|hold| hold.since_ns.max(hold.until_ns) > self.fork_ns)
        };
        let probed = Probed {
            holds: holds.collect(),
            child_since_ns: self.child_since_ns,
            parent_since_ns: self.parent_since_ns,
            child_used: self.places.iter().any(used),
        };
        (self.parent, probed)
    }
}

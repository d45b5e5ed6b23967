//! `--locks`: which processes are to be probed, and what the probes say of one lock.
//!
//! Only processes with several threads: in one with a single thread there is no question of who
//! holds a lock, and most processes, a shell's for example, never have a second.

use forktrace_model::{
    event::{Body, Event, Hold, Probed},
    model::{Model, Process},
};

use forktrace_collect::kernel::{Kernel, LockProbes};

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

/// What was seen of the lock around `uaddr` of a forked process, and in which parent; `None`
/// without probes.
pub(super) fn saw(
    kernel: &Kernel,
    process: &Process,
    uaddr: u64,
    model: &Model,
) -> Option<(u32, Probed)> {
    let locks = kernel.locks.as_ref()?;
    let fork = process.inherited()?;
    let parent = fork.by.and_then(|id| model.get(id));
    // What was seen before the parent's own exec, or of an earlier process of its number, was
    // about other memory.
    let born = parent
        .map_or(0, |parent| parent.exec.as_ref().map_or(parent.start_ns, |exec| exec.boot_ns));
    let places = (0..=BEFORE).step_by(4).filter_map(|back| uaddr.checked_sub(back));
    let places: Vec<u64> = places.collect();
    let holds = kernel.maps.holds_at_fork(process.pid, fork.by_pid, &places).into_iter();
    let holds = holds.filter(|(_, hold)| hold.since_ns >= born).map(|(address, hold)| Hold {
        address,
        tid: hold.tid,
        since_ns: hold.since_ns,
        until_ns: (hold.until_ns != 0).then_some(hold.until_ns),
        until_tid: (hold.until_tid != 0).then_some(hold.until_tid),
        caller: hold.caller,
        place: None,
    });
    let used = |address: &u64| {
        let seen = kernel.maps.hold(process.pid, *address);
        seen.is_some_and(|hold| hold.since_ns.max(hold.until_ns) > fork.boot_ns)
    };
    let probed = Probed {
        holds: holds.collect(),
        child_since_ns: locks.since_ns(process.pid),
        parent_since_ns: locks.since_ns(fork.by_pid),
        child_used: places.iter().any(used),
    };
    Some((fork.by_pid, probed))
}

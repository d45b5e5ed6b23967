//! Threads that have gone back to the same wait with a timeout, and whom nobody is left to wake: until that
//! has gone on for long enough to be judged, they are named.

use forktrace_model::{
    event::{
        Body, Event, Task, Unjudged, UnjudgedWait,
        stall::{Stall, StallTask},
    },
    hazards::polls_for_nobody,
};

use super::steady::Steady;
use crate::{
    inspect::{
        stall::{self, KnownThreads},
        threads,
    },
    kernel::ASKS,
};

/// Reads who could end the waits of threads that poll. The event of one says that nobody could. Blocks for
/// at least some 30 ms.
pub(super) fn read(polling: Vec<Steady>, known: &KnownThreads) -> Vec<(Steady, Option<Event>)> {
    let mut pids: Vec<u32> = polling.iter().map(|one| one.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    if pids.is_empty() {
        return Vec::new();
    }
    let stalls = stall::read(&pids, known, ASKS);
    let event = |one: &Steady| {
        let (_, stall) = stalls.iter().find(|(pid, _)| *pid == one.pid)?;
        event(one, stall)
    };
    polling.into_iter().map(|one| (one, event(&one))).collect()
}

fn event(one: &Steady, stall: &Stall) -> Option<Event> {
    let Steady { pid, tid, since_ns, .. } = *one;
    let own = |task: &&StallTask| (task.pid, task.tid) == (pid, tid);
    let task = stall.tasks.iter().find(own).filter(|_| polls_for_nobody(stall, pid, tid))?;
    let wait = UnjudgedWait {
        doing: threads::doing(pid, tid),
        since_ns,
        why: Unjudged::Polls,
        ..UnjudgedWait::default()
    };
    let task = Task { pid, tid, comm: task.comm.clone() };
    Some(Event { boot_ns: 0, task: Some(task), body: Body::WaitUnjudged(Box::new(wait)) })
}

//! Waits of any kind that nobody can end: what a [`Stall`] tells.
//!
//! [`case`] says who could end each wait, in views from the safest to the most daring; the fixed
//! point over them says who can run. What cannot, in the safest view, never runs again. [`chain`]
//! follows the waits from the stuck task, and [`verdict`] says by what name the stall is known and how
//! sure it is. There is one finding about a process, of one hazard.

mod accounts;
mod case;
mod chain;
mod polls;
#[cfg(test)]
mod tests;
mod verdict;

pub use accounts::{Account, accounts, polls_for_nobody};
pub(crate) use case::StallCase;

use super::{Context, HazardId, Verdict};
use crate::{
    event::{Body, Event, stall::Stall},
    finding::Key,
};
use case::View;

/// What hazard `id` makes of a stall.
pub(super) fn judge(cx: &Context<'_>, id: HazardId) -> Verdict {
    match &cx.stall {
        Some(Verdict::Finding(finding)) if finding.hazard != id => Verdict::Unrelated,
        Some(verdict) => verdict.clone(),
        None => Verdict::Unrelated,
    }
}

/// What an event ends: a stall that is read again and shows that the process goes on.
pub(super) fn ended_by(event: &Event) -> Option<Key> {
    match (&event.body, &event.task) {
        (Body::Stall(stall), Some(task)) => {
            let goes_on = !stall.in_messages && stuck_thread(stall, task.pid).is_none();
            goes_on.then(Key::of_stall)
        }
        _ => None,
    }
}

/// The same of a process whose memory is its own: a thread that waits for what another process has.
pub fn stuck_among_others(stall: &Stall, pid: u32) -> Option<u32> {
    let stuck = stuck_thread(stall, pid)?;
    let at = stall.tasks.iter().position(|task| task.tid == stuck)?;
    (!case::waits_inside(stall, at) && !case::waits_for_child(stall, at)).then_some(stuck)
}

/// The thread of process `pid` whose wait a finding would be about: one that can never run again, or
/// may be so. What a thread waits for in another process says more than that it waits for a thread of
/// its own. `None`: all of them can run.
pub fn stuck_thread(stall: &Stall, pid: u32) -> Option<u32> {
    let live = case::live(stall, pid, View::MOST_DARING);
    let dead = |at: &usize| live.get(*at) == Some(&false);
    let own = |at: &usize| stall.tasks.get(*at).is_some_and(|task| task.pid == pid);
    let mut stuck: Vec<usize> = (0..stall.tasks.len()).filter(own).filter(dead).collect();
    // Who waits for the end of a child that is stuck itself has nothing more to tell.
    if stuck.iter().any(|at| case::waits_for_child(stall, *at)) {
        stuck.retain(|at| !case::waits_for_child(stall, *at) && !case::waits_inside(stall, *at));
    }
    stuck.sort_by_key(|at| {
        let task = stall.tasks.get(*at);
        let inside = case::waits_inside(stall, *at);
        // Of these less is known.
        let semaphore = task.is_some_and(|task| case::semaphore(stall, task).is_some());
        (semaphore, inside, task.map(|task| (task.tid != pid, task.tid)))
    });
    stall.tasks.get(*stuck.first()?).map(|task| task.tid)
}

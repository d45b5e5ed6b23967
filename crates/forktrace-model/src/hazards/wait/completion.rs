//! What native stacks add to a finding: where to look, and what became of who held the lock.

use super::{WaitCase, case::scene, fork};
use crate::{
    event::stacks::{Fate, NativeStacks, TaskNow},
    finding::{Detail, Finding, ForkInfo, Holder},
    locks::{self, State},
};

/// Adds stacks, fates and the lock's place to a finding.
pub(super) fn complete(finding: &mut Finding, case: &WaitCase<'_>) {
    let native = case.evidence.native.as_deref();
    if !case.fork.is_unobserved() {
        let mut site = fork::fork_site(case.fork.site());
        if let Some(native) = native {
            site.stack = native.fork.frames.clone();
            site.stack_cut = native.fork.cut.clone();
            for thread in &mut site.lost {
                if let Some(name) = name_of(native, thread.tid) {
                    name.clone_into(&mut thread.comm);
                }
            }
        }
        finding.fork = ForkInfo::Observed(Box::new(site));
    }
    let (Some(native), Detail::Wait(wait)) = (native, &mut finding.detail) else { return };
    wait.stack = native.stack.frames.clone();
    wait.stack_cut = native.stack.cut.clone();
    wait.lock.place = match native.lock.clone() {
        None if case.target().is_none() => native.word.clone(),
        place => place,
    };
    match &mut wait.holder {
        Some(holder) => of_holder(holder, native, case),
        None => wait.candidates = native.holders.clone(),
    }
    // A thread has one name, wherever the finding tells of it.
    for task in &mut wait.candidates {
        task.comm = name_of(native, task.tid).map(str::to_owned).or(task.comm.take());
    }
    if let Some(holder) =
        wait.holder.as_mut().filter(|holder| holder.pid == case.fork.site().by_pid)
    {
        holder.comm = name_of(native, holder.tid).map(str::to_owned).or(holder.comm.take());
    }
}

fn of_holder(holder: &mut Holder, native: &NativeStacks, case: &WaitCase<'_>) {
    let is = |now: &&TaskNow| now.pid == holder.pid && now.tid == holder.tid;
    let Some(now) = native.holders.iter().find(is) else { return };
    holder.fate = Some(now.fate);
    if now.fate != Fate::Alive {
        return;
    }
    // Threads are named after their start: what it is called by now says more.
    holder.comm = now.comm.clone().or(holder.comm.take());
    holder.doing = Some(now.doing.clone());
    // The parent's copy of a lock that an ancestor holds says nothing of that ancestor's.
    if holder.pid == case.fork.site().by_pid {
        holder.holding = holding(holder.tid, native, case);
    }
    if holder.holding != Some(false) {
        holder.stack = now.stack.frames.clone();
        holder.python = now.python.clone();
    }
}

/// The present name of a thread that the fork lost. Threads are named after their start, without an
/// event: it is the name at the fork, unless the thread has taken another one since.
fn name_of(native: &NativeStacks, tid: u32) -> Option<&str> {
    let of_names = native.names.iter().find(|name| name.tid == tid).map(|name| &name.comm);
    let of_holders = || {
        let alive = |now: &&TaskNow| now.tid == tid && now.fate == Fate::Alive;
        native.holders.iter().find(alive)?.comm.as_ref()
    };
    of_names.or_else(of_holders).map(String::as_str).filter(|name| !name.is_empty())
}

/// Whether the lock in the forking process still names this holder. Its memory there is one more
/// copy of the lock beside the child's own, and is read like the inherited one.
fn holding(tid: u32, native: &NativeStacks, case: &WaitCase<'_>) -> Option<bool> {
    if case.target().is_some() {
        return None;
    }
    let now = case.evidence.now.as_ref()?;
    let scene = scene(case.machine(), case.evidence, now, native.in_parent.as_ref());
    match locks::read(&scene)?.at_fork {
        State::Held { owner: Some(owner) } => Some(owner == tid),
        State::Free => Some(false),
        _ => None,
    }
}

//! What native stacks add to a finding. They prove nothing; they say where to look.

use super::{Case, scene};
use crate::{
    event::native::{Fate, Native, TaskNow},
    finding::{Finding, Holder},
    locks::{self, State},
};

/// Adds stacks, fates and the lock's place to a finding.
pub(super) fn complete(mut finding: Finding, case: &Case<'_>) -> Finding {
    let Some(native) = &case.evidence.native else { return finding };
    finding.stack = native.stack.frames.clone();
    finding.stack_cut = native.stack.cut.clone();
    // Of a lock that is elsewhere the word is only a waiter's, on its stack mostly.
    finding.lock.place = native.word.clone().filter(|_| case.target().is_none());
    if let Some(fork) = &mut finding.fork {
        fork.stack = native.fork.frames.clone();
        fork.stack_cut = native.fork.cut.clone();
    }
    match &mut finding.holder {
        Some(holder) => of_holder(holder, native, case),
        None => finding.candidates = native.holders.clone(),
    }
    finding
}

fn of_holder(holder: &mut Holder, native: &Native, case: &Case<'_>) {
    let is = |now: &&TaskNow| now.pid == holder.pid && now.tid == holder.tid;
    let Some(now) = native.holders.iter().find(is) else { return };
    holder.fate = Some(now.fate);
    if now.fate != Fate::Alive {
        return;
    }
    // Threads are named after their start: what it is called by now says more.
    holder.comm = now.comm.clone().or(holder.comm.take());
    holder.doing = Some(now.doing.clone());
    holder.holding = holding(holder.tid, native, case);
    if holder.holding != Some(false) {
        holder.stack = now.stack.frames.clone();
    }
}

/// Whether the lock in the forking process still names this holder. Its memory there is one more
/// copy of the lock beside the child's own, and is read like the inherited one.
fn holding(tid: u32, native: &Native, case: &Case<'_>) -> Option<bool> {
    if case.target().is_some() {
        return None;
    }
    let now = case.evidence.now.as_ref()?;
    let scene = scene(case.evidence, now, native.in_parent.as_ref());
    match locks::read(&scene)?.at_fork {
        State::Held { owner: Some(owner) } => Some(owner == tid),
        State::Free => Some(false),
        _ => None,
    }
}

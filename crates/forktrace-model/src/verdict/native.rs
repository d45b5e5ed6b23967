//! What native stacks add to a finding: they say where to look, and which of two waits it is that look
//! the same.

use super::{WaitCase, scene};
use crate::{
    event::stacks::{Fate, NativeStacks, TaskNow},
    finding::{Finding, Holder},
    locks::{self, State},
};

/// Parts of the names of the functions in which Rust's standard library waits for its locks:
/// `Mutex::lock_contended`, `RwLock::read_contended` and `write_contended`
/// (`std/src/sys/sync/{mutex,rwlock}/futex.rs`, Rust 1.95), `Once::call` and `wait` (`once/futex.rs`).
const LOCKING: [&str; 2] = ["_contended", "futex::Once"];

/// Functions between those and the kernel.
const BELOW: [&str; 2] = ["syscall", "futex_wait"];

/// Whether what is waited for may be an event rather than a lock: by its bytes it could be either, the
/// wakes that would tell are not seen, and no function that waits for a lock is on the stack. Stacks
/// that are not read yet will tell.
pub(super) fn may_wait_for_event(case: &WaitCase<'_>) -> bool {
    let Some(native) = &case.evidence.native else { return false };
    if !case.reading.family.may_be_event || case.evidence.wakes_since_fork.is_some() {
        return false;
    }
    let symbols = native.stack.frames.iter().map_while(|frame| frame.symbol.as_deref());
    let mut above = symbols.skip_while(|name| BELOW.iter().any(|below| name.ends_with(below)));
    !above.next().is_some_and(|name| LOCKING.iter().any(|part| name.contains(part)))
}

/// Adds stacks, fates and the lock's place to a finding.
pub(super) fn complete(mut finding: Finding, case: &WaitCase<'_>) -> Finding {
    let Some(native) = &case.evidence.native else { return finding };
    finding.stack = native.stack.frames.clone();
    finding.stack_cut = native.stack.cut.clone();
    finding.lock.place = match native.lock.clone() {
        None if case.target().is_none() => native.word.clone(),
        place => place,
    };
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
    if holder.pid == case.fork.by_pid {
        holder.holding = holding(holder.tid, native, case);
    }
    if holder.holding != Some(false) {
        holder.stack = now.stack.frames.clone();
        holder.python = now.python.clone();
    }
}

/// Whether the lock in the forking process still names this holder. Its memory there is one more
/// copy of the lock beside the child's own, and is read like the inherited one.
fn holding(tid: u32, native: &NativeStacks, case: &WaitCase<'_>) -> Option<bool> {
    if case.target().is_some() {
        return None;
    }
    let now = case.evidence.now.as_ref()?;
    let scene = scene(case.machine, case.evidence, now, native.in_parent.as_ref());
    match locks::read(&scene)?.at_fork {
        State::Held { owner: Some(owner) } => Some(owner == tid),
        State::Free => Some(false),
        _ => None,
    }
}

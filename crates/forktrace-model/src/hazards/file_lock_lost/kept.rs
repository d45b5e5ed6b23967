//! Locks that a child keeps by its copy of the descriptor, for a process that is gone.
//!
//! A daemon keeps its lock in the same way on purpose, and a supervisor may have its workers keep it. So it
//! is a *suspect*, unless the process that took it was killed while the child had long been there, and one of
//! the same program now wants it: then it is *likely*. Nothing is wrong yet but that the service does not
//! start.

use super::{Case, Weighed, family};
use crate::{
    event::Ended,
    finding::{Confidence, Fact, Finding, LockLoss, Remedy},
    model::Process,
};

/// How long the child must have lived beside the process that took the lock, ns: who makes a daemon of
/// itself ends at once.
const BESIDE_NS: u64 = 1_000_000_000;

pub(super) fn judge(case: &Case<'_>) -> Option<Finding> {
    let taker = case.lock.taker.as_ref().filter(|taker| taker.held)?;
    let (_, look) = case.lock.look.as_ref()?;
    // The process that does not get it; it may have ended since.
    let refused = look.by;
    let process = case.process(taker.id)?;
    let ended_ns = process.end_ns?;
    let held = look.openers.iter().filter(|opener| opener.holds && opener.pid != refused);
    let (opener, child) = held
        .filter_map(|opener| Some((opener, case.model.live(opener.pid)?)))
        .find(|(_, child)| {
            let forked = child.fork.as_ref().filter(|fork| fork.boot_ns > taker.at_ns);
            let by_fork = child.exec.is_none() && family::is_above(case.model, taker.id, child.id);
            child.id != taker.id && forked.is_some() && by_fork
        })?;
    // What it has asked for itself it keeps on purpose.
    if case.lock.acts.iter().any(|act| act.id == child.id) {
        return None;
    }
    let wants = case.model.latest(refused)?;
    let same = program(case, wants).is_some() && program(case, wants) == program(case, process);
    let signal = match process.ended {
        Some(Ended::Signal(signal)) => Some(signal),
        _ => None,
    };
    let forked_ns = child.fork.as_ref().map_or(0, |fork| fork.boot_ns);
    let beside = ended_ns.saturating_sub(forked_ns) >= BESIDE_NS;
    let outsider = !family::is_above(case.model, taker.id, wants.id);
    let confidence = match signal.is_some() && beside && same && outsider {
        true => Confidence::Likely,
        false => Confidence::Suspect,
    };
    case.finding(Weighed {
        loss: LockLoss::Kept,
        confidence,
        facts: vec![
            Fact::KeptByCopy { pid: child.pid, fd: opener.fd },
            Fact::TakerGone { pid: process.pid, signal },
            Fact::NotGot { pid: refused, same },
        ],
        taker: taker.id,
        taken_ns: taker.at_ns,
        other: child.id,
        lost_ns: ended_ns,
        third: Some(refused),
        remedy: Remedy::FileLockKept,
    })
}

/// Path of the program that a process runs: it, or the one that it has its memory from, has exec'ed it.
fn program<'a>(case: &Case<'a>, process: &Process) -> Option<&'a str> {
    let root = case.process(family::root(case.model, process.id))?;
    root.exec.as_ref().map(|exec| exec.filename.as_str()).or(root.exe.as_deref())
}

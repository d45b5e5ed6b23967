//! Several children of one process that are stuck on one inherited lock: one fault, found in each.
//!
//! Siblings are no evidence for each other: they run the same program, and what is an ordinary wait
//! in one is so in all. They tell how far a fault reaches.

use super::Judged;
use crate::finding::Finding;

/// Other processes stuck on the lock of `finding` that come from the same process, by pid.
pub(super) fn of(finding: &Finding, known: &[Judged]) -> Vec<u32> {
    let Some(fork) = &finding.fork else { return Vec::new() };
    let same = known.iter().filter(|judged| {
        let other = &judged.finding;
        other.pid != finding.pid
            && other.lock.address == finding.lock.address
            && other.fork.as_ref().is_some_and(|other| other.by_pid == fork.by_pid)
            && judged.ended_after_ns.is_none()
    });
    let mut pids: Vec<u32> = same.map(|judged| judged.finding.pid).collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

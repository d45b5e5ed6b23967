//! Several children of one process that are stuck on one inherited lock: one fault, found in each.
//!
//! Siblings are no evidence for each other: they run the same program, and what is an ordinary wait
//! in one is so in all. They tell how far a fault reaches.

use rustc_hash::FxHashMap;

use super::Judged;
use crate::finding::Finding;

/// Findings by who forked and which lock it is: their places.
#[derive(Debug, Default)]
pub(super) struct Siblings(FxHashMap<(u32, u64), Vec<usize>>);

impl Siblings {
    /// Remembers a finding by its place; again where more is known of it now.
    pub(super) fn add(&mut self, finding: &Finding, place: usize) {
        if let Some(fault) = fault(finding) {
            self.0.entry(fault).or_default().push(place);
        }
    }

    /// Findings have other places now; those that have none are forgotten.
    pub(super) fn moved(&mut self, places: &FxHashMap<usize, usize>) {
        for known in self.0.values_mut() {
            *known = known.iter().filter_map(|place| places.get(place).copied()).collect();
        }
        self.0.retain(|_, places| !places.is_empty());
    }

    /// Other processes stuck on the lock of `finding` that come from the same process, by pid.
    pub(super) fn of(&self, finding: &Finding, known: &[Judged]) -> Vec<u32> {
        let fault = fault(finding);
        let places = fault.and_then(|fault| self.0.get(&fault));
        let same = places.into_iter().flatten().filter_map(|place| known.get(*place));
        let mut pids: Vec<u32> = same
            .filter(|judged| self::fault(&judged.finding) == fault)
            .filter(|judged| judged.finding.pid != finding.pid && judged.ended_after_ns.is_none())
            .map(|judged| judged.finding.pid)
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }
}

fn fault(finding: &Finding) -> Option<(u32, u64)> {
    Some((finding.fork.as_ref()?.by_pid, finding.lock.address))
}

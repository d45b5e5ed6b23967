//! Several children of one process that are stuck on one inherited lock: one fault, found in each.
//!
//! SameFault are no evidence for each other: they run the same program, and what is an ordinary wait
//! in one is so in all. They tell how far a fault reaches.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::finding::{Finding, MOST_SIBLINGS};

/// By who forked and which lock it is: the processes that are stuck, each with the number of its
/// findings.
#[derive(Debug, Default)]
pub(super) struct SameFault(FxHashMap<(u32, u64), BTreeMap<u32, usize>>);

impl SameFault {
    /// Remembers a finding whose wait goes on.
    pub(super) fn add(&mut self, finding: &Finding) {
        if let Some(fault) = fault(finding) {
            *self.0.entry(fault).or_default().entry(finding.subject.pid).or_default() += 1;
        }
    }

    /// Forgets a finding: its wait has ended, or more is known of it now.
    pub(super) fn remove(&mut self, finding: &Finding) {
        let Some(fault) = fault(finding) else { return };
        let Some(stuck) = self.0.get_mut(&fault) else { return };
        let Some(findings) = stuck.get_mut(&finding.subject.pid) else { return };
        *findings -= 1;
        if *findings == 0 {
            stuck.remove(&finding.subject.pid);
        }
        if stuck.is_empty() {
            self.0.remove(&fault);
        }
    }

    /// Other processes stuck on the lock of `finding` that come from the same process, by pid.
    pub(super) fn of(&self, finding: &Finding) -> Vec<u32> {
        let stuck = fault(finding).and_then(|fault| self.0.get(&fault));
        let others = stuck.into_iter().flat_map(BTreeMap::keys).copied();
        others.filter(|pid| *pid != finding.subject.pid).take(MOST_SIBLINGS).collect()
    }
}

fn fault(finding: &Finding) -> Option<(u32, u64)> {
    let threads = || finding.threads()?.threads.first()?.work.as_ref().map(|work| work.word);
    let generator = || finding.generators()?.found.first().map(|generator| generator.address);
    let buffer = || finding.buffers()?.found.first().map(|buffer| buffer.address);
    let lock = finding.lock().map(|lock| lock.address);
    let address = lock.or_else(threads).or_else(generator).or_else(buffer)?;
    Some((finding.forked_by()?, address))
}

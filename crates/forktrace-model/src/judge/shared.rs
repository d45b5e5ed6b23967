//! Findings about what several processes share: one for each thing.

use rustc_hash::FxHashMap;

use crate::{
    finding::{Confidence, Finding, HazardId},
    model::{Model, ProcId},
};

/// By what is shared: the process that the finding about it is kept under, and how sure that is.
#[derive(Debug, Default)]
pub(super) struct Shared(FxHashMap<(HazardId, u64), (ProcId, Confidence)>);

impl Shared {
    /// The process that keeps a finding, which `process` led to: of what several processes share, the one
    /// that was named first. `None`: as much was told before.
    pub(super) fn subject(
        &mut self,
        process: ProcId,
        finding: &Finding,
        model: &Model,
    ) -> Option<ProcId> {
        let Some(shared) = finding.shared() else { return Some(process) };
        let subject = model.latest(finding.subject.pid).map_or(process, |process| process.id);
        match self.0.get_mut(&shared) {
            Some((_, told)) if *told >= finding.confidence => None,
            Some((subject, told)) => {
                *told = finding.confidence;
                Some(*subject)
            }
            None => {
                self.0.insert(shared, (subject, finding.confidence));
                Some(subject)
            }
        }
    }
}

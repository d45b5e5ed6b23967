//! Findings about what several processes share: one for each thing.

use rustc_hash::FxHashMap;

use crate::{
    finding::{Confidence, Finding, Key},
    model::{Model, ProcId},
};

/// By what it is about: the process that the finding about it is kept under, and how sure that is.
#[derive(Debug, Default)]
pub(super) struct Shared(FxHashMap<Key, (ProcId, Confidence)>);

impl Shared {
    /// The process that keeps a finding, which `process` led to: of what several processes share, the one
    /// that was named first. `None`: as much was told before.
    pub(super) fn subject(
        &mut self,
        process: ProcId,
        finding: &Finding,
        model: &Model,
    ) -> Option<ProcId> {
        if finding.descriptor().is_none() && finding.file_lock().is_none() {
            return Some(process);
        }
        let subject = model.latest(finding.subject.pid).map_or(process, |process| process.id);
        match self.0.get_mut(&finding.key()) {
            Some((_, told)) if *told >= finding.confidence => None,
            Some((subject, told)) => {
                *told = finding.confidence;
                Some(*subject)
            }
            None => {
                self.0.insert(finding.key(), (subject, finding.confidence));
                Some(subject)
            }
        }
    }
}

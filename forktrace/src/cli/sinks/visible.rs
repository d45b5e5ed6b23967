//! Which findings people see.

use rustc_hash::FxHashSet;

use forktrace_model::{
    finding::{Confidence, Finding},
    judge::{Forgotten, Judge, Judged},
};

/// What was asked to be shown.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Visible {
    /// Suspects too.
    pub(in crate::cli) suspects: bool,
    /// Processes that were asked for by their pid.
    pub(in crate::cli) asked: FxHashSet<u32>,
}

impl Visible {
    /// Whether a finding is shown in text.
    pub(in crate::cli) fn shows(&self, finding: &Finding) -> bool {
        finding.is_shown(self.suspects, &self.asked)
    }

    /// The findings that count: suspects do only where they were asked for.
    pub(in crate::cli) fn counted<'j>(
        &self,
        judge: &'j Judge,
    ) -> impl Iterator<Item = &'j Judged> + use<'j> {
        let suspects = self.suspects;
        let findings = judge.findings().iter();
        findings.filter(move |judged| suspects || judged.finding.confidence > Confidence::Suspect)
    }

    /// The findings that are no longer kept: those that would be shown, and how many would not.
    pub(in crate::cli) fn forgotten(&self, judge: &Judge) -> (Forgotten, u64) {
        let mut shown = judge.forgotten();
        let hidden = if self.suspects { 0 } else { std::mem::take(&mut shown.suspect) };
        (shown, hidden)
    }

    /// The status to exit with where a finding was made and one of its own is `wanted`.
    pub(in crate::cli) fn status(&self, judge: &Judge, wanted: Option<u8>) -> Option<u8> {
        let was_shown = self.forgotten(judge).0 != Forgotten::default();
        wanted.filter(|_| was_shown || self.counted(judge).next().is_some())
    }
}

//! How a process stands, in one word.

use forktrace_model::{
    finding::{Confidence, Finding, Severity},
    model::Process,
};

/// How a process stands, from well to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Nothing is known that would have to worry anybody.
    Lives,
    /// It was forked beside other threads, and still runs on the copied memory.
    AtRisk,
    /// A thread of it has been waiting or busy for long; nothing says that this can never end.
    Waits,
    /// There is a finding: nothing is wrong yet.
    Risk,
    /// There is a finding: its data is, or may be, wrong.
    Corrupt,
    /// There is a finding: it hangs, certainly or likely.
    Hangs,
}

impl Standing {
    /// Of a process. `findings`: those about it that are shown and not over. `waits`: a thread of it waits
    /// without a finding.
    pub fn of<'f>(
        process: &Process,
        findings: impl IntoIterator<Item = &'f Finding>,
        waits: bool,
    ) -> Self {
        let found = findings.into_iter().map(Self::of_finding).max();
        let is_at_risk = process.inherited().is_some_and(|fork| !fork.lost.is_empty());
        let without = match (waits, is_at_risk) {
            (true, _) => Standing::Waits,
            (false, true) => Standing::AtRisk,
            (false, false) => Standing::Lives,
        };
        found.map_or(without, |found| found.max(without))
    }

    fn of_finding(finding: &Finding) -> Self {
        match finding.severity {
            Severity::Hang if finding.confidence >= Confidence::Likely => Standing::Hangs,
            Severity::Hang => Standing::Waits,
            Severity::Corruption => Standing::Corrupt,
            Severity::Risk => Standing::Risk,
        }
    }
}

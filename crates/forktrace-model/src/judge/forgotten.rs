//! What is left of findings that are no longer kept.

use super::Judged;
use crate::finding::Confidence;

/// Findings that are no longer kept: how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Those that were certain.
    pub certain: u64,
    /// Those that were likely.
    pub likely: u64,
    /// Those that were suspects.
    pub suspect: u64,
    /// Those that were certain or likely and whose process ended before the wait did.
    pub hung: u64,
    /// Those that are doubts, see [`Judge::doubts`].
    pub doubts: u64,
}

impl Forgotten {
    /// How many of one confidence.
    pub fn of(self, confidence: Confidence) -> u64 {
        match confidence {
            Confidence::Certain => self.certain,
            Confidence::Likely => self.likely,
            Confidence::Suspect => self.suspect,
        }
    }

    pub(super) fn add(&mut self, judged: &Judged) {
        match judged.finding.confidence {
            Confidence::Certain => self.certain += 1,
            Confidence::Likely => self.likely += 1,
            Confidence::Suspect => self.suspect += 1,
        }
        self.hung += u64::from(judged.is_hang());
        self.doubts += u64::from(judged.is_doubt());
    }
}

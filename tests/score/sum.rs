//! Recall and precision, and who is to blame.

use forktrace_tests::corpus::{Confidence, Said, Truth};

use crate::corpus::{Outcome, Row};

/// From strong to weak.
pub(crate) const CONFIDENCES: [Confidence; 3] =
    [Confidence::Certain, Confidence::Likely, Confidence::Suspect];

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) part: usize,
    pub(crate) whole: usize,
}

impl Share {
    fn add(&mut self, is_part: bool) {
        self.part += usize::from(is_part);
        self.whole += 1;
    }

    /// The share as a number with three digits, or a dash for none of none.
    pub(crate) fn text(self) -> String {
        if self.whole == 0 {
            return "–".to_owned();
        }
        let thousandths = self.part * 1000 / self.whole;
        let (one, rest) = (thousandths / 1000, thousandths % 1000);
        format!("{one}.{rest:03} ({} of {})", self.part, self.whole)
    }
}

/// What all runs come to. Rows that hold a stated limit are counted apart.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    /// Of the findings with this confidence, those that are right; in the order of `CONFIDENCES`.
    pub(crate) precision: [Share; 3],
    /// The same with the stated limits.
    pub(crate) precision_with_limits: [Share; 3],
    /// Of the inherited locks, those found with at least this confidence.
    pub(crate) recall: [Share; 3],
    /// The same with the stated limits.
    pub(crate) recall_with_limits: [Share; 3],
    /// Of all that hangs for another reason, what was found with at least this confidence.
    pub(crate) others: [Share; 3],
    /// Of the programs with nothing wrong, those about which nothing was said.
    pub(crate) silent: Share,
    /// Findings above suspect that are wrong: case and why.
    pub(crate) false_alarms: Vec<String>,
    /// What hangs and was not found: case.
    pub(crate) misses: Vec<String>,
    /// Rows that got less than they demand, or did not run.
    pub(crate) regressions: Vec<String>,
    /// Runs that lacked something.
    pub(crate) skipped: usize,
}

impl Sum {
    /// Sums up all runs of all rows.
    pub(crate) fn of(rows: &[Row]) -> Self {
        let mut sum = Sum::default();
        for row in rows {
            for run in &row.runs {
                sum.add(row, run);
            }
        }
        sum.misses.dedup();
        sum.regressions.dedup();
        sum
    }

    /// Nothing wrong was said, and nothing less than the rows demand.
    pub(crate) fn is_good(&self) -> bool {
        self.false_alarms.is_empty() && self.regressions.is_empty()
    }

    fn add(&mut self, row: &Row, run: &Outcome) {
        let case = row.case;
        let (verdict, least, said) = match run {
            Outcome::Ran { verdict, least, said } => (*verdict, *least, said),
            Outcome::Skipped(_) => {
                self.skipped += 1;
                return;
            }
            Outcome::Failed(why) => {
                let why = why.lines().next().unwrap_or_default();
                self.regressions.push(format!("{}: {why}", case.name));
                return;
            }
        };
        let count = |shares: &mut [Share; 3]| {
            for (share, confidence) in shares.iter_mut().zip(CONFIDENCES) {
                share.add(verdict >= Some(confidence));
            }
        };
        match (case.truth, case.limit) {
            (Truth::Inherited(_), Some(_)) => count(&mut self.recall_with_limits),
            (Truth::Inherited(_), None) => {
                count(&mut self.recall_with_limits);
                count(&mut self.recall);
            }
            (Truth::LostWaker(_) | Truth::SelfDeadlock(_), None) => count(&mut self.others),
            _ => {}
        }
        count_right(&mut self.precision_with_limits, said);
        if case.limit.is_some() {
            return;
        }
        count_right(&mut self.precision, said);
        if matches!(case.truth, Truth::Nothing) {
            self.silent.add(said.is_empty());
        } else if verdict.is_none() && case.truth.kind().is_some() {
            self.misses.push(format!("{} ({})", case.name, case.truth));
        }
        if verdict < least {
            self.regressions.push(format!("{}: {}", case.name, run.label(case)));
        }
        for one in said {
            if let Some(wrong) = &one.wrong
                && one.confidence > Confidence::Suspect
            {
                self.false_alarms.push(format!("{}: {}, {wrong}", case.name, one.confidence));
            }
        }
    }
}

fn count_right(precision: &mut [Share; 3], said: &[Said]) {
    for (share, confidence) in precision.iter_mut().zip(CONFIDENCES) {
        for one in said.iter().filter(|one| one.confidence == confidence) {
            share.add(one.wrong.is_none());
        }
    }
}

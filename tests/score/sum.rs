//! Recall and precision, and who is to blame.

use forktrace_tests::corpus::{Confidence, Said, Truth};

use crate::corpus::{Mode, Outcome, Row};

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
    /// Recall of work for lost threads.
    pub(crate) lost_work: [Share; 3],
    /// Of all that hangs, what was found with at least this confidence, by whatever name.
    pub(crate) hangs: [Share; 3],
    /// The same with the stated limits.
    pub(crate) hangs_with_limits: [Share; 3],
    /// Of the programs with nothing wrong, those about which nothing was said.
    pub(crate) silent: Share,
    /// Of them, those of which it was said that no child hangs.
    pub(crate) clear: Share,
    /// What hangs, though it was said that no child hangs.
    pub(crate) false_clears: Vec<String>,
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
    pub(crate) fn of(rows: &[Row], mode: Mode) -> Self {
        let mut sum = Sum::default();
        for row in rows {
            for run in &row.runs {
                sum.add(row, run, mode);
            }
        }
        sum.misses.dedup();
        sum.false_clears.dedup();
        sum.regressions.dedup();
        sum
    }

    /// Nothing wrong was said, and nothing less than the rows demand.
    pub(crate) fn is_good(&self) -> bool {
        let wrong = [&self.false_alarms, &self.regressions, &self.false_clears];
        wrong.into_iter().all(Vec::is_empty)
    }

    fn add(&mut self, row: &Row, run: &Outcome, mode: Mode) {
        let case = row.case;
        let (verdict, told, least, said) = match run {
            Outcome::Ran { verdict, told, least, said, is_clear } => {
                self.count_hangs(row, *told, *is_clear);
                (*verdict, *told, *least, said)
            }
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
        let count = |shares: &mut [Share; 3]| count_at_least(shares, verdict);
        match (case.truth, case.limit) {
            (Truth::Inherited(_), Some(_)) => count(&mut self.recall_with_limits),
            (Truth::Inherited(_), None) => {
                count(&mut self.recall_with_limits);
                count(&mut self.recall);
            }
            (Truth::OwnFault | Truth::Nothing, _) | (_, Some(_)) => {}
            (Truth::LostWork(_), None) => count(&mut self.lost_work),
            (_, None) => count(&mut self.others),
        }
        count_right(&mut self.precision_with_limits, said);
        if case.limit.is_some() {
            return;
        }
        count_right(&mut self.precision, said);
        if matches!(case.truth, Truth::Nothing) {
            self.silent.add(said.is_empty());
        } else if told.is_none() && case.truth.kind().is_some() {
            self.misses.push(format!("{} ({})", case.name, case.truth));
        }
        // What a row demands is about a trace from its start.
        if mode != Mode::Late && verdict < least {
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

    /// What counts for every hang: was it told at all, and was it denied?
    fn count_hangs(&mut self, row: &Row, told: Option<Confidence>, is_clear: bool) {
        let case = row.case;
        if !case.truth.hangs() {
            self.clear.add(is_clear);
            return;
        }
        count_at_least(&mut self.hangs_with_limits, told);
        if case.limit.is_none() {
            count_at_least(&mut self.hangs, told);
        }
        if is_clear {
            self.false_clears.push(format!("{} ({})", case.name, case.truth));
        }
    }
}

fn count_at_least(shares: &mut [Share; 3], found: Option<Confidence>) {
    for (share, confidence) in shares.iter_mut().zip(CONFIDENCES) {
        share.add(found >= Some(confidence));
    }
}

fn count_right(precision: &mut [Share; 3], said: &[Said]) {
    for (share, confidence) in precision.iter_mut().zip(CONFIDENCES) {
        for one in said.iter().filter(|one| one.confidence == confidence) {
            share.add(one.wrong.is_none());
        }
    }
}

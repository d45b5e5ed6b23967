//! Running the cases, several at a time.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use forktrace_tests::corpus::{self, Case, Confidence, Said};

/// What came of one run of a case.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// It ran.
    Ran {
        /// The weakest of what was rightly said about what hangs.
        verdict: Option<Confidence>,
        /// The same, by whatever name and for whatever reason.
        told: Option<Confidence>,
        /// What must be said at least.
        least: Option<Confidence>,
        /// Whether it was said that no child hangs.
        is_clear: bool,
        /// Everything that was said.
        said: Vec<Said>,
    },
    /// It lacks something.
    Skipped(String),
    /// It did not do what it should.
    Failed(String),
}

/// A case and its runs.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) case: &'static Case,
    pub(crate) runs: Vec<Outcome>,
}

impl Outcome {
    /// In a word or two, as in the table.
    pub(crate) fn label(&self, case: &Case) -> String {
        let (verdict, told, said) = match self {
            Outcome::Ran { verdict, told, said, .. } => (verdict, told, said),
            Outcome::Skipped(why) => return format!("skipped: {why}"),
            Outcome::Failed(_) => return "FAILED".to_owned(),
        };
        let wrong = said.iter().filter(|one| one.wrong.is_some()).max_by_key(|one| one.confidence);
        match (verdict, wrong) {
            (Some(verdict), None) => verdict.to_string(),
            (_, Some(wrong)) => format!("wrong: {}", wrong.confidence),
            (None, None) if case.truth.kind().is_none() => match said.first() {
                Some(one) => format!("{}, not inherited", one.confidence),
                None if self.is_clear() => "clear".to_owned(),
                None => "silent".to_owned(),
            },
            (None, None) if told.is_some() => {
                let told = told.map(|told| told.to_string()).unwrap_or_default();
                format!("{told}, by another name")
            }
            (None, None) if self.is_clear() => "missed, all-clear".to_owned(),
            (None, None) => "missed".to_owned(),
        }
    }

    /// Whether it was said that no child hangs.
    pub(crate) fn is_clear(&self) -> bool {
        matches!(self, Outcome::Ran { is_clear: true, .. })
    }

    /// What was said.
    pub(crate) fn said(&self) -> &[Said] {
        match self {
            Outcome::Ran { said, .. } => said,
            Outcome::Skipped(_) | Outcome::Failed(_) => &[],
        }
    }
}

impl Row {
    /// The verdicts of all runs, equal ones together.
    pub(crate) fn label(&self) -> String {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for run in &self.runs {
            *counts.entry(run.label(self.case)).or_default() += 1;
        }
        let one = |(label, count): (&String, &usize)| match counts.len() {
            1 => label.clone(),
            _ => format!("{label} ×{count}"),
        };
        counts.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// The rules that led to the verdicts, each once.
    pub(crate) fn rules(&self) -> String {
        let mut rules: Vec<&str> = Vec::new();
        for rule in self.runs.iter().flat_map(Outcome::said).flat_map(|said| &said.rules) {
            if !rules.contains(&rule.as_str()) {
                rules.push(rule);
            }
        }
        rules.join(", ")
    }
}

/// How the cases are traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// From start to end.
    Full,
    /// The same with `--exact`.
    Exact,
    /// Attached to once they hang.
    Late,
}

/// Runs all cases with `filter` in their names, each `runs` times, `jobs` at a time.
pub(crate) fn run(filter: Option<&str>, runs: u32, jobs: usize, mode: Mode) -> Vec<Row> {
    let wanted = |case: &&Case| filter.is_none_or(|filter| case.name.contains(filter));
    let cases: Vec<&'static Case> = corpus::cases().filter(wanted).collect();
    let todo: Vec<usize> = (0..runs).flat_map(|_| 0..cases.len()).collect();
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Outcome)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(index) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(case) = cases.get(*index) else { continue };
                    let Some(outcome) = one(case, mode) else { continue };
                    eprintln!("{:<44} {}", case.name, outcome.label(case));
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((*index, outcome));
                }
            });
        }
    });
    let mut rows: Vec<Row> = cases.into_iter().map(|case| Row { case, runs: Vec::new() }).collect();
    for (index, outcome) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        if let Some(row) = rows.get_mut(index) {
            row.runs.push(outcome);
        }
    }
    rows
}

/// `None`: it had ended before it was attached to.
fn one(case: &Case, mode: Mode) -> Option<Outcome> {
    if let Some(why) = case.missing() {
        return Some(Outcome::Skipped(why));
    }
    let traced = match mode {
        Mode::Full => corpus::trace(case, &[]).map(Some),
        Mode::Exact => corpus::trace(case, &["--exact"]).map(Some),
        Mode::Late => corpus::attach(case, &[]),
    };
    match traced {
        Ok(traced) => traced.map(|traced| {
            let mut said = traced.said(case);
            if mode == Mode::Late {
                // That it hangs can be proven then; why it does, mostly not.
                said.iter_mut().filter(|one| one.is_about_a_hang).for_each(|one| one.wrong = None);
            }
            Outcome::Ran {
                verdict: traced.verdict(case),
                told: traced.told(case),
                least: traced.least(case),
                is_clear: traced.is_clear(),
                said,
            }
        }),
        Err(error) => {
            eprintln!("{}: {error:#}", case.name);
            Some(Outcome::Failed(format!("{error:#}")))
        }
    }
}

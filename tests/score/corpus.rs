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
        /// What must be said at least.
        least: Option<Confidence>,
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
        let (verdict, said) = match self {
            Outcome::Ran { verdict, said, .. } => (verdict, said),
            Outcome::Skipped(why) => return format!("skipped: {why}"),
            Outcome::Failed(_) => return "FAILED".to_owned(),
        };
        let wrong = said.iter().filter(|one| one.wrong.is_some()).max_by_key(|one| one.confidence);
        match (verdict, wrong) {
            (Some(verdict), None) => verdict.to_string(),
            (_, Some(wrong)) => format!("wrong: {}", wrong.confidence),
            (None, None) if case.truth.kind().is_none() => match said.first() {
                Some(one) => format!("{}, not inherited", one.confidence),
                None => "silent".to_owned(),
            },
            (None, None) => "missed".to_owned(),
        }
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

/// Runs all cases with `filter` in their names, each `runs` times, `jobs` at a time, with `flags` for
/// forktrace.
pub(crate) fn run(filter: Option<&str>, runs: u32, jobs: usize, flags: &[&str]) -> Vec<Row> {
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
                    let outcome = one(case, flags);
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

fn one(case: &Case, flags: &[&str]) -> Outcome {
    if let Some(why) = case.missing() {
        return Outcome::Skipped(why);
    }
    match corpus::trace(case, flags) {
        Ok(traced) => Outcome::Ran {
            verdict: traced.verdict(case),
            least: traced.least(case),
            said: traced.said(case),
        },
        Err(error) => {
            eprintln!("{}: {error:#}", case.name);
            Outcome::Failed(format!("{error:#}"))
        }
    }
}

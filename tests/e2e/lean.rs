//! `--lean`: what is found by looking now and then, what is then less sure, and that nothing healthy
//! is taken for a hang.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    Need,
    corpus::{self, Case, Confidence, Traced},
    log::{Log, number},
    run::Job,
    trial,
    workload::{self, Facts},
};
use libtest_mimic::Trial;

use crate::check;

const LIMIT: Duration = Duration::from_secs(60);

/// Rows of the corpus, and how sure the finding must be at least. `None`: as the row says.
static ROWS: &[(&str, Option<Confidence>)] = &[
];

pub(crate) fn trials() -> Vec<Trial> {
    let row = |case: &'static Case, (name, least): &'static (&str, Option<Confidence>)| {
        trial(format!("lean_{name}"), &case.needed(), || run(case, least.or(case.least)))
    };
    let named = |name: &str| corpus::cases().find(|case| case.name == name);
    ROWS.iter().filter_map(|one| Some(row(named(one.0)?, one))).collect()
}

//! Rows of the corpus after the fact: what is said of them when forktrace is attached to the hang.

use anyhow::{Context as _, Result, ensure};
use forktrace_tests::{
    corpus::{self, Case, Confidence, Late, Traced},
    trial,
};
use libtest_mimic::Trial;

/// One trial for each row that says what it must be then.
pub(crate) fn trials() -> Vec<Trial> {
    let late = corpus::cases().filter_map(|case| Some((case, case.late?)));
    let of = |(case, late): (&'static Case, Late)| {
        trial(format!("late_{}", case.name), &case.needed(), move || run(case, late))
    };
    late.map(of).collect()
}

fn run(case: &Case, late: Late) -> Result<()> {
    let traced = corpus::attach(case, &[])?.context("it has ended")?;
    judge(case, late, &traced).with_context(|| traced.ended.said())
}

/// It says enough, by whatever name, and nothing of what does not hang. Why something hangs is seldom known
/// after the fact.
fn judge(case: &Case, late: Late, traced: &Traced) -> Result<()> {
    let all = || format!("{:#?}", traced.log.findings());
    let verdict = traced.told(case);
    ensure!(verdict >= late.least, "{verdict:?} is less than {:?}: {}", late.least, all());
    for said in traced.said(case) {
        let sure = said.confidence > Confidence::Suspect;
        ensure!(!sure || traced.hangs(said.tid), "{} does not hang: {}", said.tid, all());
    }
    // What goes wrong without a hang is no hang.
    let told = late.least.is_some() && case.truth.hangs();
    ensure!(!told || !traced.is_clear(), "an all-clear");
    Ok(())
}

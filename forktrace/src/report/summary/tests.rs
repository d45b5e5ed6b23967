#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use super::*;
use crate::report::hazards::tests::finding;
use forktrace_model::finding::HazardId;

fn about(pid: u32, tid: u32, confidence: Confidence) -> Finding {
    let mut finding = finding(HazardId::InheritedLock, 1);
    (finding.subject.pid, finding.subject.tid) = (pid, tid);
    Finding { confidence, ..finding }
}

fn totals<'a>(findings: &'a [Finding], counts: &'a Counts) -> Totals<'a> {
    Totals {
        processes: 60,
        counts,
        findings: findings.iter().collect(),
        waiting: findings.iter().map(|finding| finding.subject.pid).collect(),
        earlier: Forgotten::default(),
        hidden: 0,
        remedy: "--suspects",
        shortfalls: &[],
        unjudged: (&[], 0),
        coverage: Coverage::default(),
        threaded_forks: &[],
    }
}

#[test]
fn the_conclusion_names_the_first_that_hang() {
    let certain = |pid| about(pid, pid, Confidence::Certain);
    let mut findings: Vec<Finding> = (1..=10).map(certain).collect();
    // Another thread of the same process is no other process.
    findings.extend([(3, 31), (44, 44)].map(|(pid, tid)| about(pid, tid, Confidence::Likely)));
    let counts = Counts::default();
    let earlier = Forgotten { certain: 1, ..Forgotten::default() };
    let totals = Totals { earlier, ..totals(&findings, &counts) };
    let said = totals.conclusion(Style::default()).remove(0).1;
    assert_eq!(
        said,
        "11 children hang on an inherited lock: worker[1], worker[2], worker[3], worker[4], worker[5], worker[6], \
         worker[7], worker[8], and 3 others; 1 more probably: worker[44]"
    );
}

#[test]
fn waits_that_ended_are_counted() {
    let counts = Counts::default();
    let findings = [1, 2].map(|pid| about(pid, pid, Confidence::Certain));
    let said = |findings, waiting: &[u32]| {
        let waiting = waiting.iter().copied().collect();
        let totals = Totals { waiting, ..totals(findings, &counts) };
        totals.conclusion(Style::default()).remove(0).1
    };
    let both = "on an inherited lock: worker[1], worker[2]";
    assert_eq!(said(&findings, &[2]), format!("2 children hang {both}; 1 of them later resumed"));
    assert_eq!(said(&findings, &[]), format!("2 children hung {both}; all of them later resumed"));
    assert_eq!(
        said(&findings[..1], &[]),
        "1 child hung on an inherited lock: worker[1]; it later resumed"
    );
}

#[test]
fn a_hazard_that_is_no_hang_is_no_child_that_hangs() {
    let counts = Counts::default();
    let mut risk = about(7, 7, Confidence::Likely);
    risk.severity = Severity::Risk;
    let findings = [about(3, 3, Confidence::Certain), risk];
    let totals = totals(&findings, &counts);
    let said: Vec<String> =
        totals.conclusion(Style::default()).into_iter().map(|(_, text)| text).collect();
    assert_eq!(
        said,
        [
            "1 child hangs on an inherited lock: worker[3]",
            "1 other hazard: worker[7] (inherited lock)"
        ]
    );
}

#[test]
fn spoiled_data_is_said_before_that_nothing_hangs() {
    let counts = Counts::default();
    let spoils = |pid, confidence| Finding {
        severity: Severity::Corruption,
        hazard: HazardId::DuplicatedPrng,
        ..about(pid, pid, confidence)
    };
    let said = |findings: &[Finding]| -> Vec<String> {
        let said = totals(findings, &counts).conclusion(Style::default());
        said.into_iter().map(|(_, text)| text).collect()
    };
    let shares = "(equal random numbers)";
    let findings = [spoils(7, Confidence::Certain), spoils(8, Confidence::Likely)];
    assert_eq!(
        said(&findings),
        [
            format!("data goes wrong: worker[7] {shares}; probably also: worker[8] {shares}"),
            "no child hangs: accounted for 0 forked children with 0 threads".into(),
        ]
    );
    let likely = format!("data probably goes wrong: worker[8] {shares}");
    assert_eq!(said(&findings[1..])[0], likely);
    assert_eq!(
        said(&[about(3, 3, Confidence::Certain), spoils(8, Confidence::Likely)]),
        ["1 child hangs on an inherited lock: worker[3]".to_owned(), likely]
    );
}

#[test]
fn the_rows_count_what_the_conclusion_counts() {
    let counts = Counts::default();
    let findings = [
        about(3, 3, Confidence::Certain),
        about(3, 31, Confidence::Likely),
        about(4, 41, Confidence::Likely),
        about(4, 42, Confidence::Suspect),
        about(5, 5, Confidence::Suspect),
    ];
    let said = |findings: &[Finding], hidden| {
        let totals = Totals { hidden, ..totals(findings, &counts) };
        let (.., row) =
            totals.rows(Style::default()).into_iter().find(|(label, ..)| *label == "findings")?;
        Some((row, totals.conclusion(Style::default()).into_iter().next()?.1))
    };
    let (row, conclusion) = said(&findings, 0).unwrap();
    assert_eq!(row, "1 certain, 1 likely, 1 suspect (3 processes, 5 threads)");
    assert_eq!(
        conclusion,
        "1 child hangs on an inherited lock: worker[3]; 1 more probably: worker[4]; 1 more \
         perhaps: worker[5]"
    );
    let (row, conclusion) = said(&findings[..1], 2).unwrap();
    assert_eq!(row, "1 certain, 0 likely (2 suspects hidden: show them with --suspects)");
    assert!(
        conclusion.ends_with("worker[3]; 2 suspects are hidden: show them with --suspects"),
        "{conclusion}"
    );
}

#[test]
fn quiet_prints_the_result_and_what_is_missing() {
    let counts = Counts::default();
    let recorded = [("3 lines".to_owned(), false), ("2 lines are missing".to_owned(), true)];
    let summary = Summary {
        processes: &[],
        seen: 2,
        forgotten: 0,
        counts: &counts,
        span_ns: (0, 0),
        findings: &[],
        earlier: Forgotten::default(),
        hidden: 0,
        quiet: true,
        shortfalls: &[],
        unjudged: (&[], 0),
        coverage: Coverage::default(),
        threaded_forks: &[],
        recorded: &recorded,
    };
    let mut out = Vec::new();
    write(&mut out, &summary, Style::default()).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "recorded     2 lines are missing\n\
         no child hangs: accounted for 0 forked children with 0 threads\n"
    );
}

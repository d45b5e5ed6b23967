//! Equal random numbers.

use super::*;
use crate::{
    event::{Generator, GeneratorKind, GeneratorSide, Generators},
    finding::{Remedy, Severity},
};

/// What is said of a generator from which these processes have drawn: `(pid, steps, bits)`.
fn judged(sides: &[(u32, u64, u32)], owner: Option<&str>) -> Verdict {
    let mut model = Model::default();
    let task = |pid| Some(Task { pid, tid: pid, comm: "worker".into() });
    for child_pid in [200, 201] {
        let fork = ProcessFork { child_pid, clone_flags: 17 };
        model.apply(&Event { boot_ns: 1_000, task: task(100), body: Body::ProcessFork(fork) });
    }
    let side = |(pid, steps, bits): &(u32, u64, u32)| GeneratorSide {
        pid: *pid,
        comm: "worker".into(),
        steps: *steps,
        bits: *bits,
    };
    let generator = Generator {
        kind: GeneratorKind::Mt19937,
        address: 0x1000,
        sides: sides.iter().map(side).collect(),
        type_name: owner.map(str::to_owned),
        module: None,
        program: None,
    };
    let found = Generators { found: vec![generator], pages: 3, cut: false };
    let body = Body::Generators(Box::new(found));
    judge(&Event { boot_ns: 5_000, task: task(200), body }, &model)
}

fn confidence(sides: &[(u32, u64, u32)], owner: Option<&str>) -> Option<Confidence> {
    match judged(sides, owner) {
        Verdict::Finding(finding) => Some(finding.confidence),
        _ => None,
    }
}

#[test]
fn two_that_are_steps_of_one_state_are_proven() {
    let Verdict::Finding(finding) = judged(&[(200, 5, 900), (201, 7, 900)], None) else {
        panic!("no finding")
    };
    assert_eq!((finding.confidence, finding.severity), (Confidence::Certain, Severity::Corruption));
    assert_eq!((finding.subject.pid, finding.forked_by()), (200, Some(100)));
    assert_eq!(finding.remedy, Some(Remedy::ReseedAfterFork));
    assert_eq!(finding.proofs, [Fact::StepsOfOneState { processes: 2, bits: 900 }]);
}

#[test]
fn the_parent_counts_as_much_as_a_sibling() {
    assert_eq!(confidence(&[(200, 5, 900), (100, 1, 64)], None), Some(Confidence::Certain));
}

#[test]
fn one_alone_is_nothing() {
    assert_eq!(confidence(&[(200, 5, 900)], None), None);
    assert_eq!(confidence(&[(100, 5, 900), (201, 5, 900)], None), None, "not this process");
    assert_eq!(confidence(&[(200, 5, 900), (201, 0, 0)], None), None, "it did not move");
    assert_eq!(confidence(&[], None), None);
}

#[test]
fn few_bits_are_no_proof() {
    assert_eq!(confidence(&[(200, 5, 45), (201, 5, 45)], None), Some(Confidence::Likely));
    assert_eq!(confidence(&[(200, 5, 900), (201, 5, 45)], None), Some(Confidence::Likely));
}

#[test]
fn a_position_alone_needs_an_owner() {
    let sides = [(200, 5, 0), (201, 5, 0)];
    assert_eq!(confidence(&sides, Some("Random")), Some(Confidence::Likely));
    assert_eq!(confidence(&sides, None), Some(Confidence::Suspect));
    let Verdict::Finding(finding) = judged(&sides, None) else { panic!("no finding") };
    assert_eq!(finding.severity, Severity::Risk);
}

#[test]
fn who_is_far_ahead_may_have_skipped() {
    let far = [(200, 5, 900), (201, 100_000, 900)];
    assert_eq!(confidence(&far, None), Some(Confidence::Likely));
    let near = [(200, 5_000, 900), (201, 20_000, 900)];
    assert_eq!(confidence(&near, None), Some(Confidence::Certain));
}

#[test]
fn advice_by_owner() {
    let remedy = |owner| match judged(&[(200, 5, 900), (201, 7, 900)], owner) {
        Verdict::Finding(finding) => finding.remedy,
        _ => None,
    };
    assert_eq!(remedy(Some("Random")), Some(Remedy::PythonRandom));
    assert_eq!(remedy(Some("numpy.random._pcg64.PCG64")), Some(Remedy::NumpyGenerator));
}

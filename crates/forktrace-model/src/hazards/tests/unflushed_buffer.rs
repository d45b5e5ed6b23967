//! Output that several processes write.

use super::*;
use crate::{
    event::{
        Buffer, BufferKind, BufferSide, BufferState, Buffers, Ended, ProcessExec, ProcessExit,
    },
    finding::{Remedy, Severity},
};
use BufferState::{Added, Emptied, Same, Touched, Unknown, Written};

const PARENT: u32 = 100;
const CHILD: u32 = 200;

/// The states of the processes, whether the child is ending, and what happened to the parent before.
fn judged(sides: &[(u32, BufferState)], ended: bool, parent: Option<Body>) -> Verdict {
    let mut model = Model::default();
    let task = |pid| Some(Task { pid, tid: pid, comm: "worker".into() });
    for child_pid in [CHILD, 201] {
        let fork = ProcessFork { child_pid, clone_flags: 17 };
        model.apply(&Event { boot_ns: 1_000, task: task(PARENT), body: Body::ProcessFork(fork) });
    }
    if let Some(body) = parent {
        model.apply(&Event { boot_ns: 2_000, task: task(PARENT), body });
    }
    let side = |(pid, state): &(u32, BufferState)| BufferSide {
        pid: *pid,
        comm: "worker".into(),
        state: *state,
    };
    let buffer = Buffer {
        kind: BufferKind::Glibc,
        address: 0x1000,
        bytes: 22,
        fd: Some(1),
        file: None,
        sides: sides.iter().map(side).collect(),
    };
    let body =
        Body::Buffers(Box::new(Buffers { found: vec![buffer], exits: ended, ended, cut: false }));
    judge(&Event { boot_ns: 5_000, task: task(CHILD), body }, &model)
}

fn confidence(own: BufferState, other: BufferState, ended: bool) -> Option<Confidence> {
    match judged(&[(CHILD, own), (PARENT, other)], ended, None) {
        Verdict::Finding(finding) => Some(finding.confidence),
        _ => None,
    }
}

#[test]
fn two_that_wrote_it_are_proven() {
    let Verdict::Finding(finding) = judged(&[(CHILD, Written), (PARENT, Written)], true, None)
    else {
        panic!("no finding")
    };
    assert_eq!((finding.confidence, finding.severity), (Confidence::Certain, Severity::Corruption));
    assert_eq!((finding.subject.pid, finding.forked_by()), (CHILD, Some(PARENT)));
    assert_eq!(finding.remedy, Some(Remedy::FlushStdio));
    let facts = [
        Fact::UnwrittenAtFork { bytes: 22 },
        Fact::WroteInherited { processes: 2 },
        Fact::LeftByExit {},
    ];
    assert_eq!(finding.proofs, facts);
    let siblings = judged(&[(CHILD, Written), (PARENT, Same), (201, Written)], true, None);
    let Verdict::Finding(finding) = siblings else { panic!("no finding") };
    assert_eq!(finding.confidence, Confidence::Certain);
}

#[test]
fn one_that_wrote_it_and_one_that_still_has_it_are_likely() {
    for other in [Same, Added, Emptied, Touched, Unknown] {
        assert_eq!(confidence(Written, other, true), Some(Confidence::Likely), "{other:?}");
    }
    assert_eq!(confidence(Written, Same, false), Some(Confidence::Likely));
}

#[test]
fn a_parent_that_ended_first_may_have_left_without_writing() {
    let exit = || Body::ProcessExit(ProcessExit { ended: Some(Ended::Code(0)) });
    let Verdict::Finding(finding) =
        judged(&[(CHILD, Written), (PARENT, Unknown)], true, Some(exit()))
    else {
        panic!("no finding")
    };
    assert_eq!((finding.confidence, finding.severity), (Confidence::Suspect, Severity::Risk));
    let Verdict::Finding(finding) =
        judged(&[(CHILD, Written), (PARENT, Written)], true, Some(exit()))
    else {
        panic!("no finding")
    };
    assert_eq!(finding.confidence, Confidence::Certain, "its write was seen");
    let exec = Body::ProcessExec(ProcessExec { old_tid: PARENT, filename: "/bin/true".into() });
    let Verdict::Finding(finding) =
        judged(&[(CHILD, Written), (PARENT, Unknown)], true, Some(exec))
    else {
        panic!("no finding")
    };
    assert_eq!(finding.confidence, Confidence::Suspect);
}

#[test]
fn bytes_that_are_merely_there_are_a_risk() {
    assert_eq!(confidence(Same, Same, false), Some(Confidence::Suspect));
    assert_eq!(confidence(Same, Same, true), None, "it has gone without writing them");
    assert_eq!(confidence(Touched, Same, true), None);
    assert_eq!(confidence(Touched, Written, false), None);
    assert_eq!(confidence(Unknown, Written, true), None);
}

#[test]
fn who_adds_to_them_writes_both_or_loses_its_own() {
    assert_eq!(confidence(Added, Same, false), Some(Confidence::Likely));
    assert_eq!(confidence(Emptied, Written, false), Some(Confidence::Likely));
    // At its end nothing shows that it wrote.
    assert_eq!(confidence(Added, Same, true), Some(Confidence::Suspect));
}

#[test]
fn one_alone_is_at_most_a_suspect() {
    for own in [Same, Added, Emptied, Touched, Unknown] {
        let found = judged(&[(CHILD, own)], false, None);
        let Verdict::Finding(finding) = found else { continue };
        assert_eq!(finding.confidence, Confidence::Suspect, "{own:?}");
    }
    assert!(matches!(judged(&[(PARENT, Written)], true, None), Verdict::Unrelated));
    assert!(matches!(judged(&[], true, None), Verdict::Unrelated));
}

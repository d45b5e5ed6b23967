#![allow(clippy::unwrap_used, reason = "tests")]

mod files;

use forktrace_common::clone_flags::CLONE_THREAD;

use crate::{
    event::{
        Body, Event, PeerEnd, ProcessExec, ProcessExit, ProcessFork, SocketFamily, SocketUse,
        SocketUser, Task,
    },
    finding::{Confidence, Finding, Rule},
    hazards::{self, Verdict},
    model::Model,
};

const PARENT: u32 = 70;
const CHILD: u32 = 71;
const SIBLING: u32 = 72;
const INODE: u64 = 4711;

fn task(pid: u32) -> Task {
    Task { pid, tid: pid, comm: "server".into() }
}

/// The parent forked both at 10.
fn family() -> Model {
    let mut model = Model::default();
    for child_pid in [CHILD, SIBLING] {
        let fork = ProcessFork { child_pid, clone_flags: 0x0120_0011 & !CLONE_THREAD };
        take(&mut model, 10, PARENT, Body::ProcessFork(fork));
    }
    model
}

fn take(model: &mut Model, boot_ns: u64, pid: u32, body: Body) -> Event {
    let event = Event { boot_ns, task: Some(task(pid)), body };
    model.apply(&event);
    event
}

/// What a process sent, received, and received after the other had used it.
fn user(pid: u32, sends: u64, receives: u64, crossings: u64) -> SocketUser {
    SocketUser {
        pid,
        fd: Some(7),
        first_ns: 20,
        last_ns: 30,
        sends,
        receives,
        crossings,
        ..SocketUser::default()
    }
}

fn connection(users: Vec<SocketUser>) -> SocketUse {
    SocketUse {
        inode: INODE,
        family: SocketFamily::Inet,
        peer: "10.0.0.5:5432".into(),
        users,
        turns: 2,
        ..SocketUse::default()
    }
}

fn judged(model: &mut Model, seen: SocketUse) -> Option<Finding> {
    let pid = seen.users.first().unwrap().pid;
    let event = take(model, 40, pid, Body::SocketUse(Box::new(seen)));
    match hazards::judge(&event, model) {
        Verdict::Finding(finding) => Some(*finding),
        _ => None,
    }
}

fn confidence(model: &mut Model, seen: SocketUse) -> Option<Confidence> {
    judged(model, seen).map(|finding| finding.confidence)
}

#[test]
fn a_request_that_meets_anothers_is_a_proof() {
    let both = connection(vec![user(CHILD, 3, 3, 1), user(PARENT, 4, 4, 0)]);
    let finding = judged(&mut family(), both).unwrap();
    assert_eq!(finding.confidence, Confidence::Certain);
    assert_eq!(finding.subject.pid, PARENT);
    assert_eq!(finding.fork_site().unwrap().by_pid, PARENT);
    assert!(finding.has(Rule::RequestsCrossed) && finding.has(Rule::SameConnection));
    let users: Vec<u32> = finding.descriptor().unwrap().users.iter().map(|user| user.pid).collect();
    assert_eq!(users, [PARENT, CHILD]);
}

#[test]
fn events_add_up() {
    let mut model = family();
    let first = connection(vec![user(CHILD, 1, 0, 0), user(SIBLING, 1, 1, 0)]);
    assert_eq!(confidence(&mut model, first), Some(Confidence::Suspect));
    let later = connection(vec![user(CHILD, 1, 1, 1)]);
    assert_eq!(confidence(&mut model, later), Some(Confidence::Certain), "the sibling is known");
}

#[test]
fn a_process_for_each_direction_is_no_hazard() {
    let relay = connection(vec![user(CHILD, 0, 9, 0), user(PARENT, 9, 0, 0)]);
    assert_eq!(confidence(&mut family(), relay), None);
    let lines = connection(vec![user(CHILD, 9, 0, 0), user(PARENT, 9, 0, 0)]);
    assert_eq!(confidence(&mut family(), lines), None, "nobody waits for a reply");
    let mut thief = user(CHILD, 0, 2, 0);
    thief.after_others = 2;
    let taken = SocketUse { turns: 9, ..connection(vec![thief, user(PARENT, 9, 7, 0)]) };
    assert_eq!(confidence(&mut family(), taken), Some(Confidence::Likely));
}

#[test]
fn turns_are_likely_when_they_are_many() {
    let turns = |turns, last_ns| {
        let mut one = user(CHILD, 3, 3, 0);
        one.last_ns = last_ns;
        SocketUse { turns, ..connection(vec![one, user(PARENT, 3, 3, 0)]) }
    };
    assert_eq!(confidence(&mut family(), turns(1, 30)), None, "handed over");
    assert_eq!(confidence(&mut family(), turns(2, 30)), Some(Confidence::Suspect));
    assert_eq!(confidence(&mut family(), turns(3, 30)), Some(Confidence::Suspect), "too soon");
    assert_eq!(confidence(&mut family(), turns(3, 2_000_000_000)), Some(Confidence::Likely));
    assert_eq!(confidence(&mut family(), turns(8, 30)), Some(Confidence::Likely));
    assert_eq!(confidence(&mut family(), turns(8, 9)), None, "not used since the fork");
    let mut model = family();
    take(&mut model, 35, PARENT, Body::ProcessExit(ProcessExit::default()));
    assert_eq!(confidence(&mut model, turns(8, 30)), None, "who has ended uses nothing");
}

#[test]
fn records_of_tls_from_both_cannot_be_right() {
    let tls = |users| SocketUse { tls: true, turns: 1, ..connection(users) };
    let both = tls(vec![user(CHILD, 1, 0, 0), user(PARENT, 1, 0, 0)]);
    assert_eq!(confidence(&mut family(), both), Some(Confidence::Certain));
    let one = tls(vec![user(CHILD, 1, 0, 0), user(PARENT, 0, 1, 0)]);
    assert_eq!(confidence(&mut family(), one), None);
}

#[test]
fn a_connection_that_one_ends_and_another_needs() {
    let failed = |sends, error| SocketUser { failures: 1, error, ..user(PARENT, sends, 0, 0) };
    let ended = |after_ns, sent, failed: SocketUser| SocketUse {
        turns: 1,
        ended: Some(PeerEnd { after: CHILD, sent, after_ns }),
        ..connection(vec![failed, user(CHILD, 1, 0, 0)])
    };
    let soon = 1_000_000;
    let judge = |seen| confidence(&mut family(), seen);
    assert_eq!(judge(ended(soon, true, failed(1, 0))), Some(Confidence::Certain));
    assert_eq!(judge(ended(soon, false, failed(1, 0))), Some(Confidence::Likely));
    assert_eq!(judge(ended(60_000_000_000, true, failed(1, 0))), Some(Confidence::Suspect));
    assert_eq!(judge(ended(soon, true, failed(0, 0))), None, "it only sees the end");
    assert_eq!(
        judge(ended(soon, true, failed(0, 32))),
        Some(Confidence::Certain),
        "it sent in vain"
    );
    let shut = |by| SocketUse {
        shut_by: Some(by),
        turns: 1,
        ..connection(vec![failed(0, 32), user(CHILD, 1, 1, 0)])
    };
    assert_eq!(judge(shut(CHILD)), Some(Confidence::Certain));
    assert_eq!(judge(shut(PARENT)), None, "its own doing");
}

#[test]
fn who_did_not_inherit_it_is_another_matter() {
    let both = || connection(vec![user(CHILD, 3, 3, 1), user(PARENT, 4, 4, 0)]);
    let mut model = family();
    let exec = ProcessExec { old_tid: CHILD, filename: "/bin/other".into() };
    take(&mut model, 15, CHILD, Body::ProcessExec(exec));
    assert_eq!(confidence(&mut model, both()), None, "it was passed to another program");
    let mut standard = both();
    standard.users.first_mut().unwrap().fd = Some(1);
    assert_eq!(confidence(&mut family(), standard), None, "standard output");
}

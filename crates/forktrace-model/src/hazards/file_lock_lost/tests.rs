#![allow(clippy::unwrap_used, reason = "tests")]

use crate::{
    event::{
        Body, Ended, Event, FileLock, LockAct, LockLook, LockOpener, LockSort, ProcessExec,
        ProcessExit, ProcessFork, TakenLock, Task,
    },
    finding::{Confidence, Finding, LockLoss, Rule, Severity},
    hazards::{self, Verdict},
    model::Model,
};

const PARENT: u32 = 70;
const CHILD: u32 = 71;
const OTHER: u32 = 90;
const SECOND: u64 = 1_000_000_000;

fn task(pid: u32) -> Task {
    Task { pid, tid: pid, comm: "server".into() }
}

fn take(model: &mut Model, boot_ns: u64, pid: u32, body: Body) -> Event {
    let event = Event { boot_ns, task: Some(task(pid)), body };
    model.apply(&event);
    event
}

/// The parent took the lock at 5 and forked at 10; another process is none of the family.
fn family() -> Model {
    let mut model = Model::default();
    for (by, child_pid) in [(PARENT, CHILD), (1, OTHER)] {
        let fork = ProcessFork { child_pid, clone_flags: 0x0120_0011 };
        take(&mut model, 10, by, Body::ProcessFork(fork));
    }
    model
}

fn lock(sort: LockSort, act: LockAct, held: bool) -> FileLock {
    FileLock {
        sort,
        act,
        inode: 4711,
        device: "08:01".into(),
        owner: 5,
        exclusive: act == LockAct::Locked,
        fd: Some(3),
        taken: TakenLock { pid: PARENT, fd: Some(3), at_ns: 5, exclusive: true, held },
        look: None,
    }
}

/// What is made of an act on the parent's lock.
fn act(model: &mut Model, at: u64, pid: u32, act: LockAct, held: bool) -> Option<Finding> {
    judged(model, at, pid, lock(LockSort::Flock, act, held))
}

fn judged(model: &mut Model, at: u64, pid: u32, seen: FileLock) -> Option<Finding> {
    let event = take(model, at, pid, Body::FileLock(Box::new(seen)));
    match hazards::judge(&event, model) {
        Verdict::Finding(finding) => Some(*finding),
        _ => None,
    }
}

fn opener(pid: u32) -> LockOpener {
    LockOpener { pid, fd: 3, writes: true, ..LockOpener::default() }
}

fn look(openers: Vec<LockOpener>, after_ns: u64) -> LockLook {
    LockLook { after_ns, path: "/run/x.lock".into(), openers, ..LockLook::default() }
}

fn released(openers: Vec<LockOpener>, after_ns: u64) -> FileLock {
    let look = Some(Box::new(look(openers, after_ns)));
    FileLock { look, ..lock(LockSort::Flock, LockAct::Released, true) }
}

fn confidence(finding: Option<Finding>) -> Option<Confidence> {
    finding.map(|finding| finding.confidence)
}

#[test]
fn what_the_child_gives_back_the_parent_relied_on() {
    let mut model = family();
    assert_eq!(act(&mut model, 20, CHILD, LockAct::Released, true), None, "not known yet");
    let finding = act(&mut model, 40, PARENT, LockAct::Released, false).unwrap();
    assert_eq!(finding.confidence, Confidence::Likely);
    assert_eq!(finding.severity, Severity::Corruption);
    assert!(finding.has(Rule::ReleasedByOther) && finding.has(Rule::ReliedOn));
    let detail = finding.file_lock().unwrap();
    assert_eq!((detail.taker.pid, detail.other.pid, detail.lost_ns), (PARENT, CHILD, 20));
    assert_eq!(finding.fork_site().unwrap().by_pid, PARENT);
}

#[test]
fn somebody_else_in_between_is_a_proof() {
    let mut model = family();
    act(&mut model, 20, CHILD, LockAct::Released, true);
    act(&mut model, 25, PARENT, LockAct::Taken, false);
    act(&mut model, 30, OTHER, LockAct::Taken, false);
    let finding = act(&mut model, 40, PARENT, LockAct::Released, false).unwrap();
    assert_eq!(finding.confidence, Confidence::Certain);
    assert_eq!(finding.file_lock().unwrap().third.as_ref().unwrap().pid, OTHER);
}

#[test]
fn who_lives_on_with_the_file_open_relies_on_it() {
    let mut model = family();
    act(&mut model, 20, CHILD, LockAct::Released, true);
    let mut seen =
        |at, openers| confidence(judged(&mut model, at, PARENT, released(openers, at - 20)));
    assert_eq!(seen(20 + SECOND, vec![opener(PARENT)]), Some(Confidence::Suspect), "too soon");
    assert_eq!(seen(20 + 2 * SECOND, vec![opener(PARENT)]), Some(Confidence::Likely));
    let waits = LockOpener { waits_for_child: true, ..opener(PARENT) };
    assert_eq!(seen(20 + 2 * SECOND, vec![waits]), Some(Confidence::Suspect), "it may be lent");
    assert_eq!(seen(20 + 2 * SECOND, vec![opener(CHILD)]), None, "it has closed the file");
}

#[test]
fn handovers_and_rounds_are_none() {
    let mut model = family();
    take(&mut model, 15, PARENT, Body::ProcessExit(ProcessExit::default()));
    assert_eq!(act(&mut model, 20, CHILD, LockAct::Released, true), None, "it has ended");
    let mut model = family();
    let exec = ProcessExec { old_tid: CHILD, filename: "/usr/bin/flock".into() };
    take(&mut model, 15, CHILD, Body::ProcessExec(exec));
    act(&mut model, 20, CHILD, LockAct::Released, true);
    assert_eq!(act(&mut model, 40, PARENT, LockAct::Released, false), None, "it was told the fd");
    let mut model = family();
    act(&mut model, 20, CHILD, LockAct::Released, true);
    act(&mut model, 30, PARENT, LockAct::Locked, false);
    assert_eq!(act(&mut model, 40, PARENT, LockAct::Released, true), None, "taken again");
    let mut model = family();
    act(&mut model, 20, OTHER, LockAct::Released, true);
    assert_eq!(act(&mut model, 40, PARENT, LockAct::Released, false), None, "no kin: passed");
}

#[test]
fn a_lock_that_two_have_at_once_excludes_nobody() {
    let mut model = family();
    let mut round = |at: u64| {
        act(&mut model, at, CHILD, LockAct::Locked, true);
        act(&mut model, at + 1, PARENT, LockAct::Released, true);
        let finding = act(&mut model, at + 2, CHILD, LockAct::Released, false);
        act(&mut model, at + 3, PARENT, LockAct::Locked, false);
        finding.unwrap()
    };
    assert_eq!(round(20).confidence, Confidence::Likely);
    let again = round(30);
    assert_eq!(again.confidence, Confidence::Certain);
    assert_eq!(again.file_lock().unwrap().loss, LockLoss::HeldByBoth);
    assert_eq!(again.subject.pid, PARENT);
}

/// The parent ends with its POSIX lock, and the child is looked at.
fn daemon(change: impl FnOnce(&mut Model, &mut LockLook)) -> Option<Finding> {
    let mut model = family();
    take(&mut model, 15, PARENT, Body::ProcessExit(ProcessExit::default()));
    let closed = lock(LockSort::Posix, LockAct::Closed, true);
    take(&mut model, 16, PARENT, Body::FileLock(Box::new(closed.clone())));
    let mut look = look(vec![opener(CHILD)], 2 * SECOND);
    look.names_pid = Some(CHILD);
    change(&mut model, &mut look);
    judged(&mut model, 3 * SECOND, CHILD, FileLock { look: Some(Box::new(look)), ..closed })
}

#[test]
fn a_posix_lock_ends_with_who_took_it() {
    let finding = daemon(|_, _| {}).unwrap();
    assert_eq!((finding.confidence, finding.subject.pid), (Confidence::Likely, CHILD));
    assert!(finding.has(Rule::NamesProcess) && finding.has(Rule::OpenWithoutLock));
    let other = |change: fn(&mut Model, &mut LockLook)| confidence(daemon(change));
    assert_eq!(other(|_, look| look.locked_by = vec![CHILD]), None, "it has its own");
    assert_eq!(other(|_, look| look.openers.clear()), None, "it has closed the file");
    assert_eq!(other(|_, look| look.names_pid = None), Some(Confidence::Suspect));
    assert_eq!(other(|_, look| look.after_ns = 0), Some(Confidence::Suspect), "too soon");
    assert_eq!(other(|_, look| look.openers[0].fd = 9), Some(Confidence::Suspect), "its own fd");
    assert_eq!(other(|_, look| look.sqlite = true), None, "it does not use the database");
    let used = other(|model, look| {
        look.sqlite = true;
        let used = FileLock { owner: 6, ..lock(LockSort::Posix, LockAct::Used, false) };
        take(model, 17, CHILD, Body::FileLock(Box::new(used)));
    });
    assert_eq!(used, Some(Confidence::Likely));
}

/// Another process does not get the lock of a parent that has ended so.
fn refused(ended: Ended, at: u64, same: bool) -> Option<Finding> {
    let mut model = family();
    for pid in [PARENT, OTHER] {
        let filename = if same || pid == PARENT { "/usr/sbin/x" } else { "/usr/sbin/y" };
        let exec = ProcessExec { old_tid: pid, filename: filename.into() };
        // Before the lock was taken.
        take(&mut model, 3, pid, Body::ProcessExec(exec));
    }
    let fork = ProcessFork { child_pid: CHILD + 1, clone_flags: 0x0120_0011 };
    take(&mut model, 20, PARENT, Body::ProcessFork(fork));
    take(&mut model, at, PARENT, Body::ProcessExit(ProcessExit { ended: Some(ended) }));
    let holder = LockOpener { holds: true, ..opener(CHILD + 1) };
    let seen = lock(LockSort::Flock, LockAct::Refused, true);
    let look = LockLook { by: OTHER, ..look(vec![holder], 0) };
    let seen = FileLock { look: Some(Box::new(look)), ..seen };
    let act = FileLock { look: None, ..seen.clone() };
    take(&mut model, at + 1, OTHER, Body::FileLock(Box::new(act)));
    take(&mut model, at + 2, OTHER, Body::ProcessExit(ProcessExit::default()));
    judged(&mut model, at + 3, CHILD + 1, seen)
}

#[test]
fn a_lock_that_a_child_keeps_is_at_most_likely() {
    let finding = refused(Ended::Signal(9), 3 * SECOND, true).unwrap();
    assert_eq!((finding.confidence, finding.severity), (Confidence::Likely, Severity::Risk));
    assert_eq!(finding.subject.pid, CHILD + 1);
    let suspect = Some(Confidence::Suspect);
    assert_eq!(confidence(refused(Ended::Code(0), 3 * SECOND, true)), suspect, "it left it");
    assert_eq!(confidence(refused(Ended::Signal(9), 30, true)), suspect, "as a daemon");
    assert_eq!(confidence(refused(Ended::Signal(9), 3 * SECOND, false)), suspect, "another one");
}

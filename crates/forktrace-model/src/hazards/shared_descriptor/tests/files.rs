//! Files and epoll instances.

use super::*;
use crate::{
    event::{FileClass, FileHolder, FileUse, WatchedFile},
    finding::DescriptorClass,
};

fn holder(pid: u32) -> FileHolder {
    FileHolder { pid, comm: "server".into(), fd: 7, ..FileHolder::default() }
}

fn reads(pid: u32) -> FileHolder {
    FileHolder { read: 640, ..holder(pid) }
}

fn waits(pid: u32, waits: u32) -> FileHolder {
    FileHolder { waits, ..holder(pid) }
}

fn file(holders: Vec<FileHolder>, turns: u32, both: u32) -> FileUse {
    FileUse {
        id: 1,
        inode: 4711,
        name: "/srv/data".into(),
        holders,
        turns,
        both,
        ..FileUse::default()
    }
}

fn epoll(holders: Vec<FileHolder>, watched: Vec<WatchedFile>) -> FileUse {
    FileUse { class: FileClass::Epoll, id: 2, holders, watched, ..FileUse::default() }
}

fn judged(seen: FileUse) -> Option<Finding> {
    let mut model = family();
    let pid = seen.holders.first().unwrap().pid;
    let event = take(&mut model, 40, pid, Body::FileUse(Box::new(seen)));
    match hazards::judge(&event, &model) {
        Verdict::Finding(finding) => Some(*finding),
        _ => None,
    }
}

fn confidence(seen: FileUse) -> Option<Confidence> {
    judged(seen).map(|finding| finding.confidence)
}

#[test]
fn who_reads_by_one_offset_gets_a_part() {
    let both = || vec![reads(PARENT), reads(CHILD)];
    let finding = judged(file(both(), 0, 2)).unwrap();
    assert_eq!(finding.confidence, Confidence::Likely);
    assert_eq!(finding.subject.pid, PARENT);
    assert_eq!(finding.descriptor().unwrap().class, DescriptorClass::File);
    assert_eq!(confidence(file(both(), 3, 0)), Some(Confidence::Likely));
    assert_eq!(confidence(file(both(), 2, 1)), None, "handed over, and back");
    assert_eq!(confidence(file(vec![reads(PARENT), holder(CHILD)], 9, 9)), None, "one reads");
}

#[test]
fn what_is_only_written_may_be_meant() {
    let writes = |pid| FileHolder { written: 64, ..holder(pid) };
    let seen = file(vec![writes(PARENT), writes(CHILD)], 9, 9);
    let finding = judged(seen.clone()).unwrap();
    assert_eq!(finding.confidence, Confidence::Suspect);
    assert!(finding.has(Rule::OnlyWritten));
    let elsewhere = FileUse { elsewhere: true, ..file(vec![reads(PARENT), reads(CHILD)], 0, 9) };
    assert_eq!(confidence(elsewhere), Some(Confidence::Suspect));
    let mut standard = file(vec![reads(PARENT), reads(CHILD)], 0, 9);
    standard.holders.first_mut().unwrap().fd = 0;
    assert_eq!(confidence(standard), None, "standard input");
}

#[test]
fn two_that_wait_on_one_epoll_take_each_others_events() {
    let both = || vec![waits(PARENT, 2), waits(CHILD, 5)];
    let of = |file: WatchedFile| epoll(both(), vec![file]);
    assert_eq!(confidence(of(WatchedFile::default())), Some(Confidence::Likely));
    let listens = WatchedFile { listens: true, ..WatchedFile::default() };
    assert_eq!(confidence(of(listens)), Some(Confidence::Suspect));
    let foreign = WatchedFile { missing_in: vec![PARENT], ..WatchedFile::default() };
    let finding = judged(of(foreign.clone())).unwrap();
    assert_eq!(finding.confidence, Confidence::Certain);
    assert!(finding.has(Rule::EpollOfOne) && finding.has(Rule::SameOpenFile));
    let once = epoll(vec![waits(PARENT, 9), waits(CHILD, 1)], vec![foreign]);
    assert_eq!(confidence(once), None, "it waited for its child to start");
    let gone = WatchedFile {
        missing_in: both().iter().map(|one| one.pid).collect(),
        ..WatchedFile::default()
    };
    assert_eq!(confidence(of(gone)), Some(Confidence::Likely), "nobody has it any more");
}

#[test]
fn who_takes_a_file_out_of_anothers_epoll_is_found() {
    let removed = WatchedFile {
        fd: 9,
        removed_by: Some(CHILD),
        removed_from: Some(PARENT),
        ..WatchedFile::default()
    };
    let seen = epoll(vec![waits(PARENT, 3), holder(CHILD)], vec![removed]);
    let finding = judged(seen).unwrap();
    assert_eq!(finding.confidence, Confidence::Certain);
    assert!(finding.has(Rule::EpollChanged));
    assert_eq!(confidence(epoll(vec![waits(PARENT, 3), holder(CHILD)], Vec::new())), None);
}

//! The tree: each rule on a hand-made history.

#![allow(clippy::unwrap_used, reason = "tests")]

mod simulated;

use forktrace_common::clone_flags::CLONE_PARENT;

use super::*;
use crate::event::{
    Body, Event, EventsLost, FutexWait, ProcessExec, ProcessExit, ProcessFork, ProcessSnapshot,
    Resync, Task, ThreadExit, ThreadName, ThreadStart, TraceStart, Wait,
};

const CLONE_VM: u64 = clone_flags::CLONE_VM;
const VFORK: u64 = CLONE_VM | clone_flags::CLONE_VFORK;

fn task(pid: u32, tid: u32) -> Option<Task> {
    Some(Task { pid, tid, comm: format!("t{tid}") })
}

fn at(boot_ns: u64, pid: u32, tid: u32, body: Body) -> Event {
    Event { boot_ns, task: task(pid, tid), body }
}

fn alive(boot_ns: u64, pid: u32, ppid: u32, tids: &[u32], resync: bool) -> Event {
    let name = |tid: &u32| ThreadName { tid: *tid, comm: format!("t{tid}") };
    let threads = tids.iter().map(name).collect();
    let seen = ProcessSnapshot { ppid, start_ns: 1, threads, resync, ..Default::default() };
    at(boot_ns, pid, pid, Body::ProcessSnapshot(seen))
}

fn fork(boot_ns: u64, pid: u32, tid: u32, child_pid: u32, clone_flags: u64) -> Event {
    at(boot_ns, pid, tid, Body::ProcessFork(ProcessFork { child_pid, clone_flags }))
}

fn thread(boot_ns: u64, pid: u32, child_tid: u32) -> Event {
    at(boot_ns, pid, pid, Body::ThreadStart(ThreadStart { child_tid, clone_flags: 0x10100 }))
}

fn exec(boot_ns: u64, pid: u32, old_tid: u32) -> Event {
    at(boot_ns, pid, pid, Body::ProcessExec(ProcessExec { old_tid, filename: "/bin/x".into() }))
}

fn thread_exit(boot_ns: u64, pid: u32, tid: u32, group_dead: Option<bool>) -> Event {
    at(boot_ns, pid, tid, Body::ThreadExit(ThreadExit { group_dead, ended: None }))
}

fn exit(boot_ns: u64, pid: u32) -> Event {
    at(boot_ns, pid, pid, Body::ProcessExit(ProcessExit::default()))
}

fn lost(boot_ns: u64) -> Event {
    let body = Body::EventsLost(EventsLost { count: 3, ..Default::default() });
    Event { boot_ns, task: None, body }
}

fn looked(boot_ns: u64) -> Event {
    Event { boot_ns, task: None, body: Body::Resync(Resync::default()) }
}

fn model(events: &[Event]) -> Model {
    let mut model = Model::default();
    for event in events {
        model.apply(event);
    }
    model
}

fn tids(model: &Model, pid: u32) -> Vec<u32> {
    model.live(pid).unwrap().threads.keys().copied().collect()
}

#[test]
fn a_fork_names_the_threads_that_are_lost() {
    let model = model(&[alive(1, 10, 1, &[10, 11, 12], false), fork(2, 10, 11, 20, 0)]);
    let child = model.live(20).unwrap();
    let fork = child.inherited().unwrap();
    assert_eq!((fork.by_pid, fork.by_tid, fork.by_comm.as_str()), (10, 11, "t11"));
    let lost: Vec<u32> = fork.lost.iter().map(|thread| thread.tid).collect();
    assert_eq!(lost, [10, 12]);
    assert_eq!(tids(&model, 20), [20]);
    assert_eq!((child.ppid, child.start_ns), (10, 2));
    assert_eq!(model.counts().forks, 1);
}

#[test]
fn after_exec_nothing_is_inherited_and_only_the_leader_is_left() {
    let model = model(&[
        alive(1, 10, 1, &[10], false),
        fork(2, 10, 10, 20, 0),
        thread(3, 20, 21),
        // The exec of thread 21: the leader's exit comes first, the process lives on.
        thread_exit(4, 20, 20, Some(false)),
        exec(5, 20, 21),
    ]);
    assert!(model.live(20).unwrap().inherited().is_none());
    assert_eq!(tids(&model, 20), [20]);
    assert_eq!(model.counts().execs, 1);
}

#[test]
fn a_vfork_child_shares_memory_until_it_execs() {
    let mut model = model(&[alive(1, 10, 1, &[10], false), fork(2, 10, 10, 20, VFORK)]);
    assert!(model.live(20).unwrap().inherited().is_none());
    assert_eq!(model.memory_shared_with(10), [20]);
    assert_eq!(model.memory_shared_with(20), [10]);
    model.apply(&fork(3, 20, 20, 30, CLONE_VM));
    assert_eq!(model.memory_shared_with(30), [20, 10], "across both");
    model.apply(&exec(4, 20, 20));
    assert_eq!(model.memory_shared_with(10), [0u32; 0]);
    assert_eq!((model.counts().forks, model.counts().vforks), (0, 2));
}

#[test]
fn processes_share_memory_that_one_made_who_has_ended() {
    let model = model(&[
        alive(1, 10, 1, &[10], false),
        fork(2, 10, 10, 20, CLONE_VM),
        fork(3, 20, 20, 30, CLONE_VM),
        exit(4, 20),
    ]);
    assert_eq!(model.memory_shared_with(10), [30]);
    assert_eq!(model.memory_shared_with(30), [10]);
}

#[test]
fn a_daemon_outlives_its_parents_and_has_no_known_parent() {
    let model = model(&[
        alive(1, 10, 1, &[10], false),
        fork(2, 10, 10, 20, 0),
        fork(3, 20, 20, 30, 0),
        exit(4, 20),
    ]);
    let daemon = model.live(30).unwrap();
    assert_eq!((daemon.ppid, daemon.parent), (0, None));
    assert_eq!(daemon.fork.as_ref().unwrap().by_pid, 20);
    assert!(model.live(20).is_none());
}

#[test]
fn clone_parent_makes_a_sibling() {
    let model = model(&[
        alive(1, 10, 1, &[10], false),
        fork(2, 10, 10, 20, 0),
        fork(3, 20, 20, 30, CLONE_PARENT),
    ]);
    let sibling = model.live(30).unwrap();
    assert_eq!((sibling.ppid, sibling.parent), (10, Some(model.live(10).unwrap().id)));
    assert_eq!(sibling.fork.as_ref().unwrap().by_pid, 20);
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    let model = model(&[
        alive(1, 10, 1, &[10], false),
        fork(2, 10, 10, 20, 0),
        exit(3, 20),
        fork(4, 10, 10, 20, 0),
        // Its end was missed.
        fork(5, 10, 10, 20, 0),
    ]);
    let lives: Vec<_> = model.all().iter().filter(|p| p.pid == 20).map(|p| p.end_ns).collect();
    assert_eq!(lives, [Some(3), Some(5), None]);
}

#[test]
fn without_group_dead_a_process_ends_with_its_last_thread() {
    let mut model = model(&[alive(1, 10, 1, &[10, 11], false)]);
    assert!(model.apply(&thread_exit(2, 10, 10, None)).is_empty(), "the leader alone");
    let id = model.live(10).unwrap().id;
    assert_eq!(model.apply(&thread_exit(3, 10, 11, None)), [Change::Ended(id)]);
}

#[test]
fn events_of_processes_that_are_gone_do_not_bring_them_back() {
    let wait = FutexWait::default();
    let mut model = model(&[alive(1, 10, 1, &[10], false), exit(2, 10)]);
    for event in [
        exit(3, 10),
        thread_exit(3, 10, 10, Some(false)),
        at(3, 10, 10, Body::FutexWait(wait)),
        at(3, 10, 10, Body::Evidence(Box::default())),
    ] {
        assert!(model.apply(&event).is_empty());
    }
    assert_eq!(model.live_count(), 0);
    assert_eq!(model.counts().exits, 1);
}

#[test]
fn a_creator_not_yet_looked_at_may_have_had_more_threads_and_nothing_else_is_missing() {
    let mut model = model(&[fork(2, 10, 11, 20, 0)]);
    let seen = ProcessSnapshot { ppid: 1, read_ns: 6, ..Default::default() };
    let threads = [10, 11].map(|tid| ThreadName { tid, comm: format!("t{tid}") }).to_vec();
    let look = Body::ProcessSnapshot(ProcessSnapshot { threads, ..seen });
    for event in [at(4, 10, 10, look), fork(5, 10, 10, 21, 0), fork(6, 10, 10, 22, 0)] {
        model.apply(&event);
    }
    for (child, known) in [(20, false), (21, false), (22, true)] {
        let child = model.live(child).unwrap();
        assert_eq!(child.fork.as_ref().unwrap().lost_known, known, "{}", child.pid);
        assert!(!child.incomplete, "nothing about {} was lost", child.pid);
    }
    assert!(!model.live(10).unwrap().incomplete);
    assert_eq!(tids(&model, 20), [20]);
}

#[test]
fn after_a_loss_an_unknown_creator_and_its_children_are_known_incompletely() {
    let model = model(&[lost(1), fork(2, 10, 11, 20, 0)]);
    assert!(model.live(10).unwrap().incomplete);
    assert!(model.live(20).unwrap().incomplete);
    assert!(!model.live(20).unwrap().fork.as_ref().unwrap().lost_known);
}

#[test]
fn a_first_look_changes_nothing_of_threads_that_events_have_told() {
    let mut model = model(&[alive(1, 10, 1, &[10], false), fork(2, 10, 10, 20, 0)]);
    model.apply(&thread(3, 20, 21));
    let seen = ProcessSnapshot { ppid: 10, start_ns: 2, ..Default::default() };
    model.apply(&at(4, 20, 20, Body::ProcessSnapshot(seen)));
    assert_eq!(tids(&model, 20), [20, 21]);
}

#[test]
fn a_loss_is_healed_by_a_new_look_but_not_forgotten() {
    let mut model = model(&[
        alive(1, 10, 1, &[10, 11], false),
        fork(2, 10, 10, 20, 0),
        fork(3, 10, 10, 21, 0),
        lost(4),
        // 21 has ended, 22 was forked, thread 11 has ended: none of it was seen.
        alive(5, 10, 1, &[10], true),
        at(
            5,
            20,
            20,
            Body::ProcessSnapshot(ProcessSnapshot {
                ppid: 10,
                start_ns: 2,
                threads: vec![ThreadName { tid: 20, comm: "t20".into() }],
                resync: true,
                ..Default::default()
            }),
        ),
        alive(5, 22, 10, &[22], true),
    ]);
    let gone = model.live(21).unwrap().id;
    assert_eq!(model.apply(&looked(5)), [Change::Ended(gone)]);
    model.apply(&fork(6, 10, 10, 23, 0));
    assert_eq!(tids(&model, 10), [10]);
    assert_eq!(model.live(22).unwrap().ppid, 10);
    assert!(model.live(20).unwrap().incomplete, "an exec of its may have been lost");
    assert!(!model.live(23).unwrap().incomplete, "forked after its parent was looked at");
    assert_eq!(model.counts().lost, 3);
}

/// A list of processes is not made in an instant.
#[test]
fn what_was_forked_after_a_new_look_had_begun_has_not_ended() {
    let mut model = model(&[
        alive(1, 10, 1, &[10], false),
        fork(2, 10, 10, 20, 0),
        lost(4),
        fork(6, 10, 10, 21, 0),
        alive(8, 10, 1, &[10], true),
    ]);
    let gone = model.live(20).unwrap().id;
    let look = Body::Resync(Resync { processes: 1, listed_ns: 5 });
    let changes = model.apply(&Event { boot_ns: 8, task: None, body: look });
    assert_eq!(changes, [Change::Ended(gone)]);
    assert!(model.live(21).is_some());
}

#[test]
fn names_follow_the_events_and_a_process_is_named_after_its_leader() {
    let mut model = model(&[alive(1, 10, 1, &[10, 11], false)]);
    let named = |tid: u32, comm: &str| Event {
        boot_ns: 2,
        task: Some(Task { pid: 10, tid, comm: comm.into() }),
        body: Body::ThreadStart(ThreadStart { child_tid: 12, clone_flags: 0x10100 }),
    };
    model.apply(&named(11, "worker"));
    assert_eq!(model.live(10).unwrap().comm, "t10");
    assert_eq!(model.live(10).unwrap().threads[&11].comm, "worker");
    model.apply(&named(10, "server"));
    assert_eq!(model.live(10).unwrap().comm, "server");
}

#[test]
fn that_a_process_had_another_thread_outlasts_that_thread_and_the_part_of_the_log() {
    let had = |model: &Model| model.live(10).unwrap().had_threads;
    let mut model = Model::default();
    model.apply(&alive(1, 10, 1, &[10], false));
    assert!(!had(&model));
    let start = Body::ThreadStart(ThreadStart { child_tid: 11, clone_flags: 0x10100 });
    let exit = Body::ThreadExit(ThreadExit { group_dead: Some(false), ended: None });
    for event in [at(2, 10, 10, start), at(3, 10, 11, exit)] {
        model.apply(&event);
    }
    let mut next = Model::default();
    for event in model.carried(4, false) {
        next.apply(&event);
    }
    assert!(had(&model) && had(&next) && next.live(10).unwrap().threads.len() == 1);
    let mut healed = Model::default();
    healed.apply(&alive(5, 10, 1, &[10, 11], true));
    assert!(had(&healed), "a look has shown it");
}

#[test]
fn a_long_wait_is_counted_once_and_a_short_one_not_at_all() {
    let start = TraceStart { min_wait_ns: 100, ..Default::default() };
    let mut model = Model::default();
    model.apply(&Event { boot_ns: 0, task: None, body: Body::TraceStart(Box::new(start)) });
    model.apply(&alive(1, 10, 1, &[10], false));
    let wait = |boot_ns, enter_ns, result| {
        let wait = Wait { enter_ns, ..Default::default() };
        at(boot_ns, 10, 10, Body::FutexWait(FutexWait { wait, result, over: false }))
    };
    for event in [wait(200, 50, None), wait(250, 50, Some(0)), wait(300, 290, Some(0))] {
        model.apply(&event);
    }
    assert_eq!(model.counts().long_waits, 1);
    assert_eq!(model.live(10).unwrap().threads[&10].wait, None);
}

#[test]
fn ended_processes_are_forgotten_leaves_first_and_counted_where_they_stood() {
    let mut model = model(&[alive(1, 1, 0, &[1], false)]);
    for n in 0..10 {
        let (child, grandchild) = (100 + n, 200 + n);
        model.apply(&fork(u64::from(n) + 10, 1, 1, child, 0));
        model.apply(&fork(u64::from(n) + 10, child, child, grandchild, 0));
        model.apply(&exit(u64::from(n) + 11, child));
        if n != 3 {
            model.apply(&exit(u64::from(n) + 12, grandchild));
        }
    }
    model.forget_to(4);
    let kept: Vec<u32> = model.all().iter().map(|process| process.pid).collect();
    assert!(kept.contains(&203) && kept.contains(&103), "203 lives, and 103 made it: {kept:?}");
    assert_eq!(model.seen(), 21);
    let counted: u64 = model.all().iter().map(|process| process.forgotten).sum();
    assert_eq!(counted + kept.len() as u64, 21);
    assert_eq!(model.forgotten_roots(), 0);
}

#[test]
fn what_a_process_inherited_is_known_without_those_that_made_it() {
    let mut model = model(&[alive(1, 1, 0, &[1, 5], false)]);
    for n in 2..30 {
        model.apply(&fork(u64::from(n), n - 1, n - 1, n, 0));
        model.apply(&exit(u64::from(n), n - 1));
    }
    let before: Vec<u64> =
        model.live(29).unwrap().fork.as_ref().unwrap().line().map(|fork| fork.boot_ns).collect();
    assert_eq!(before.len(), 28);
    model.forget_to(0);
    assert_eq!(model.all().len(), 1, "a chain of ended ones is given up in the end");
    let after: Vec<u64> =
        model.live(29).unwrap().fork.as_ref().unwrap().line().map(|fork| fork.boot_ns).collect();
    assert_eq!(before, after);
    assert_eq!((model.forgotten_roots(), model.seen()), (28, 29));
}

#[test]
fn a_line_of_forks_is_followed_only_so_far_and_says_so() {
    let mut model = model(&[alive(1, 1, 0, &[1], false)]);
    for n in 2..2000 {
        model.apply(&fork(u64::from(n), n - 1, n - 1, n, 0));
        model.apply(&exit(u64::from(n), n - 1));
    }
    let fork = model.live(1999).unwrap().fork.clone().unwrap();
    assert!(fork.line().count() < 600);
    assert!(fork.cut);
}

#[test]
fn what_a_finding_is_about_is_never_forgotten() {
    let mut model = model(&[alive(1, 1, 0, &[1], false), fork(2, 1, 1, 7, 0)]);
    model.pin(7);
    model.apply(&exit(3, 7));
    model.forget_to(0);
    assert!(model.all().iter().any(|process| process.pid == 7));
}

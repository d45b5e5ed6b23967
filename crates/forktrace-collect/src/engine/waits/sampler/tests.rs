#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use forktrace_model::event::{ProcessExit, ProcessFork, ProcessSnapshot};

const PARENT: u32 = 10;
const CHILD: u32 = 20;
const FORK_NS: u64 = 50;
const MIN_WAIT_NS: u64 = 100;

fn model() -> Model {
    let mut model = Model::default();
    let task = Some(Task { pid: PARENT, tid: PARENT, comm: "parent".into() });
    let seen = Body::ProcessSnapshot(ProcessSnapshot::default());
    let fork = Body::ProcessFork(ProcessFork { child_pid: CHILD, clone_flags: 0x0120_0000 });
    for (boot_ns, body) in [(1, seen), (FORK_NS, fork)] {
        model.apply(&Event { boot_ns, task: task.clone(), body });
    }
    model
}

fn blocked(tid: u32, switches: u64) -> Blocked {
    Blocked { tid, uaddr: 0x1000, op: 0x80, val: 2, switches, times: 1, stopped: false }
}

/// A round in which the child has one thread beside those that are blocked.
fn round(model: &Model, began_ns: u64, blocked: &[Blocked]) -> Round {
    let id = model.live(CHILD).unwrap().id;
    let subject = Subject { id, pid: CHILD, since_ns: FORK_NS };
    let tids = [CHILD, CHILD + 1].to_vec();
    let threads = Threads { tids, blocked: blocked.to_vec(), denied: false };
    Round(vec![Sample { subject, threads, began_ns, ended_ns: began_ns + 1 }])
}

fn standing(tid: u32, switches: u64) -> Standing {
    let Blocked { uaddr, op, val, .. } = blocked(tid, switches);
    let wait = Wait { enter_ns: 60, uaddr, op, val, since_before: true, ..Wait::default() };
    Standing { task: Task { pid: CHILD, tid, comm: String::new() }, wait, switches, times: 1 }
}

/// Begins and ends of the long waits.
fn long(sampler: &Sampler, model: &Model) -> Vec<(Option<u64>, u64, bool)> {
    let waits = sampler.waits(model).into_iter().filter(|wait| sampler.is_long(wait));
    let waits = waits.map(|state| sampler.wait(&state).unwrap().0);
    waits.map(|wait| (wait.not_before_ns, wait.enter_ns, wait.since_before)).collect()
}

#[test]
fn a_wait_lasts_from_the_sample_that_found_it_while_the_thread_does_not_run() {
    let model = model();
    let mut sampler = Sampler::new(MIN_WAIT_NS);
    sampler.take(round(&model, 100, &[]), &model);
    sampler.take(round(&model, 200, &[blocked(CHILD, 7)]), &model);
    sampler.take(round(&model, 300, &[blocked(CHILD, 7)]), &model);
    assert_eq!(long(&sampler, &model), [], "99 ns are shown");
    sampler.take(round(&model, 301, &[blocked(CHILD, 7)]), &model);
    assert_eq!(long(&sampler, &model), [(Some(100), 201, false)]);
    // The same word, but the thread has run.
    assert!(sampler.take(round(&model, 500, &[blocked(CHILD, 8)]), &model).is_empty());
    assert_eq!(long(&sampler, &model), []);
    sampler.take(round(&model, 700, &[blocked(CHILD, 8)]), &model);
    assert_eq!(long(&sampler, &model), [(Some(301), 501, false)]);
}

#[test]
fn the_end_of_a_long_wait_is_reported_if_its_thread_lives() {
    let model = model();
    let mut sampler = Sampler::new(MIN_WAIT_NS);
    let waits = [blocked(CHILD, 7), blocked(CHILD + 9, 1)];
    sampler.take(round(&model, 100, &waits), &model);
    sampler.take(round(&model, 300, &waits), &model);
    assert_eq!(long(&sampler, &model), [(Some(FORK_NS), 101, false); 2]);
    let ended = sampler.take(round(&model, 400, &[]), &model);
    let [Event { body: Body::FutexWait(wait), task: Some(task), .. }] = &ended[..] else {
        unreachable!("one end, of the thread that is still there: {ended:?}")
    };
    assert!(wait.over && !wait.goes_on() && wait.result.is_none());
    assert_eq!((task.tid, wait.wait.enter_ns), (CHILD, 101));
    assert_eq!(long(&sampler, &model), []);
}

#[test]
fn a_process_that_is_stopped_has_not_gone_on() {
    let model = model();
    let mut sampler = Sampler::new(MIN_WAIT_NS);
    let stopped = |tid| Blocked { stopped: true, ..blocked(tid, 8) };
    sampler.take(round(&model, 100, &[blocked(CHILD, 7)]), &model);
    sampler.take(round(&model, 300, &[blocked(CHILD, 7)]), &model);
    assert_eq!(long(&sampler, &model), [(Some(FORK_NS), 101, false)]);
    for began_ns in [400, 500, 900] {
        let both = [stopped(CHILD), stopped(CHILD + 1)];
        assert!(sampler.take(round(&model, began_ns, &both), &model).is_empty(), "no end");
        assert_eq!(long(&sampler, &model), [], "nothing is judged of it");
        assert!(sampler.waits(&model).iter().all(|wait| wait.restarting == 1));
        assert!(sampler.waits_for(CHILD, 0x1000).is_empty(), "it may have been woken");
    }
    let since =
        |tid| sampler.waits(&model).into_iter().find(|wait| wait.tid == tid).unwrap().enter_ns;
    assert_eq!((since(CHILD), since(CHILD + 1)), (101, 401));
    // It goes on, and waits: perhaps once more. The other one was woken.
    assert!(sampler.take(round(&model, 1000, &[blocked(CHILD, 9)]), &model).is_empty());
    assert_eq!(sampler.waits(&model).len(), 1);
    sampler.take(round(&model, 1101, &[blocked(CHILD, 9)]), &model);
    assert_eq!(long(&sampler, &model), [(Some(900), 1001, false)]);
}

#[test]
fn a_process_that_has_ended_waits_for_nothing() {
    let mut model = model();
    let mut sampler = Sampler::new(MIN_WAIT_NS);
    sampler.take(round(&model, 100, &[blocked(CHILD, 7)]), &model);
    assert_eq!(sampler.waits(&model).len(), 1);
    let task = Some(Task { pid: CHILD, tid: CHILD, comm: String::new() });
    let exit = Body::ProcessExit(ProcessExit::default());
    model.apply(&Event { boot_ns: 200, task, body: exit });
    assert!(sampler.waits(&model).is_empty());
}

#[test]
fn a_wait_that_is_older_than_the_trace_is_known_once_its_process_is() {
    let model = model();
    let mut sampler = Sampler::new(MIN_WAIT_NS);
    sampler.take_standing(vec![standing(CHILD, 7)]);
    sampler.settle_standing(&Model::default(), |_, _| true);
    sampler.settle_standing(&model, |_, _| true);
    assert!(sampler.standing.is_empty());
    sampler.take(round(&model, 200, &[blocked(CHILD, 7)]), &model);
    assert_eq!(long(&sampler, &model), [(Some(FORK_NS), 60, true)]);
    sampler.take(round(&model, 300, &[]), &model);
    assert_eq!(long(&sampler, &model), []);
    // Of a thread that has ended the model never hears.
    sampler.take_standing(vec![standing(CHILD, 7)]);
    sampler.settle_standing(&Model::default(), |_, _| false);
    assert!(sampler.standing.is_empty());
}

#[test]
fn a_round_that_shows_what_the_one_before_did_is_no_news() {
    let model = model();
    let mut sampler = Sampler::new(MIN_WAIT_NS);
    let mut news = |began_ns, waits: &[Blocked]| {
        sampler.take(round(&model, began_ns, waits), &model);
        sampler.has_news()
    };
    assert!(news(100, &[blocked(CHILD, 7)]), "a wait");
    assert!(!news(110, &[blocked(CHILD, 7)]));
    assert!(news(300, &[blocked(CHILD, 7)]), "it has become long");
    assert!(!news(400, &[blocked(CHILD, 7)]));
    assert!(news(500, &[Blocked { stopped: true, ..blocked(CHILD, 7) }]), "it is stopped");
    assert!(news(600, &[]), "it is over");
    assert!(!news(700, &[]));
}

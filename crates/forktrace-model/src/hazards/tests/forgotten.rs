//! A trace that goes on and on keeps its latest findings and those whose wait goes on.

use super::*;
use crate::event::FutexWait;

const SIBLING: u32 = 300;

fn look(pid: u32, scene: Scene) -> Event {
    event(11 * SECOND, pid, pid, Body::Evidence(Box::new(scene.evidence)))
}

#[test]
fn findings_whose_wait_is_over_are_counted_when_they_are_forgotten() {
    let mut model = Scene::semaphore().model();
    let fork = ProcessFork { child_pid: SIBLING, clone_flags: 0x0120_0000 };
    model.apply(&event(6 * SECOND, PARENT, PARENT, Body::ProcessFork(fork)));
    let id = |pid: u32| model.live(pid).unwrap().id;
    let mut judge = Judge::default();
    judge.apply(&look(SIBLING, Scene::semaphore()), &model);
    judge.apply(&look(CHILD, Scene::semaphore().with_live_helper()), &model);
    assert_eq!(judge.findings().len(), 2);
    assert_eq!(judge.forget_to(0), [], "both waits go on");

    let wait = Scene::semaphore().evidence.wait;
    let back = Body::FutexWait(FutexWait { wait, result: Some(0), over: false });
    judge.apply(&event(20 * SECOND, SIBLING, SIBLING, back), &model);
    let confidence = judge.findings()[0].finding.confidence;
    assert_eq!(judge.forget_to(0), [id(SIBLING)]);
    assert_eq!(judge.forgotten().of(confidence), 1);

    let Some(Outcome::Found(stronger)) = judge.apply(&look(CHILD, Scene::semaphore()), &model)
    else {
        panic!("the wait that goes on is not known any more")
    };
    assert_eq!(stronger.same_fault_in, [0u32; 0]);
    let kept: Vec<u32> = judge.findings().iter().map(|judged| judged.finding.subject.pid).collect();
    assert_eq!(kept, [CHILD]);
}

#[test]
fn of_a_wait_that_is_over_only_what_the_conclusion_needs_is_kept() {
    let model = Scene::semaphore().model();
    let id = model.live(CHILD).unwrap().id;
    let mut judge = Judge::default();
    judge.apply(&look(CHILD, Scene::semaphore()), &model);
    let before = judge.findings()[0].clone();
    assert!(before.finding.remedy.is_some());
    judge.ended(id, 20 * SECOND, None);
    let after = &judge.findings()[0];
    assert!(after.finding.remedy.is_none());
    assert_eq!(after.finding.proofs, before.finding.proofs, "a filter asks for it");
    assert_eq!(after.ended_after_ns, None, "it was killed in it");
}

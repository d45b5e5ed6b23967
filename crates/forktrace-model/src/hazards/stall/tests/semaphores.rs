//! System V semaphores: any process may raise one, and the kernel knows who changed it last.

use super::*;
use crate::event::{Ended, ProcessExit, stall::SysvSemaphore};

const SIBLING: u32 = CHILD + 1;

/// A model in which the child's sibling has ended so.
fn without_sibling(how: Ended) -> Model {
    let mut model = model(1);
    let body = Body::ProcessExit(ProcessExit { ended: Some(how) });
    model.apply(&Event { boot_ns: 55, task: Some(task(SIBLING)), body });
    model
}

/// The child waits for a semaphore that its sibling changed last.
fn taken_by_sibling(gone: bool, users: &[(u32, &str)]) -> Made {
    let mut made = Made::default()
        .process(CHILD, 0)
        .process(PARENT, 0)
        .process(SIBLING, 0)
        .thing(ThingKind::SysvSemaphore, users)
        .waits(CHILD, CHILD, Way::Release);
    let semaphore = SysvSemaphore { value: 0, wants: 1, last: SIBLING, gone };
    made.0.things[0].semaphore = Some(semaphore);
    made
}

fn found(made: Made, model: &Model) -> Option<Finding> {
    match made.judged(model) {
        Verdict::Finding(finding) => Some(*finding),
        Verdict::Innocent(_) => None,
        other => unreachable!("{other:?}"),
    }
}

/// Whether somebody is known who could end the child's wait.
fn child_can_run(made: &Made) -> Option<bool> {
    let mut accounts = accounts(&made.0, CHILD).into_iter();
    accounts.find(|account| account.task.tid == CHILD).unwrap().can_run
}

#[test]
fn a_semaphore_is_left_taken_by_one_who_was_killed() {
    let killed = without_sibling(Ended::Signal(9));
    let finding = found(taken_by_sibling(true, &[]), &killed).unwrap();
    assert_eq!(said(&finding), (HazardId::OrphanedLock, Confidence::Likely));
    assert!(finding.has(Rule::LastOperatorKilled) && finding.has(Rule::MayBeRaised));
    assert!(!finding.has(Rule::HolderGone) && !finding.has(Rule::HeldByNobody));
    assert_eq!(finding.stall().unwrap().chain[0].gone, Some(SIBLING));
}

#[test]
fn one_who_is_gone_otherwise_may_have_been_meant_to_take_it() {
    for how in [Ended::Code(0), Ended::Code(1), Ended::Signal(15), Ended::Signal(2)] {
        let made = taken_by_sibling(true, &[]);
        assert_eq!(child_can_run(&made), None, "it is not accounted for");
        assert_eq!(found(made, &without_sibling(how)), None, "{how:?}");
    }
    assert_eq!(found(taken_by_sibling(true, &[]), &model(1)), None, "its end was not seen");
    let killed = without_sibling(Ended::Signal(9));
    for (value, wants) in [(0, 2), (1, 2)] {
        let mut counted = taken_by_sibling(true, &[]);
        let semaphore = counted.0.things[0].semaphore.as_mut().unwrap();
        (semaphore.value, semaphore.wants) = (value, wants);
        assert_eq!(found(counted, &killed), None, "a lock has one place");
    }
}

#[test]
fn one_who_lives_is_in_the_circle_or_gives_it_back() {
    let family = [(PARENT, "w"), (CHILD, "w"), (SIBLING, "w")];
    let with = |state| {
        taken_by_sibling(false, &family)
            .state(SIBLING, SIBLING, state)
            .thing(ThingKind::Children, &[(CHILD, "w"), (SIBLING, "w")])
            .waits(PARENT, PARENT, Way::Exit)
    };
    let outside = TaskWait { outside: true, ..TaskWait::default() };
    for state in [TaskState::Moves, TaskState::Waits(outside)] {
        let made = with(state);
        assert_eq!(child_can_run(&made), Some(true));
        assert_eq!(found(made, &model(1)), None);
    }
    let circle = taken_by_sibling(false, &family)
        .thing(ThingKind::Children, &[(CHILD, "w"), (SIBLING, "w")])
        .waits(PARENT, PARENT, Way::Exit)
        .thing(ThingKind::FileLock, &[(CHILD, "w")])
        .waits(SIBLING, SIBLING, Way::Release);
    let finding = found(circle, &model(1)).unwrap();
    assert_eq!(said(&finding), (HazardId::Deadlock, Confidence::Likely));
    assert!(finding.has(Rule::MayBeRaised) && !finding.has(Rule::LastOperatorKilled));
}

#[test]
fn what_is_known_better_is_told_rather_than_a_semaphore() {
    let made = taken_by_sibling(true, &[]).thing(ThingKind::PrivateWord, &[]).waits(
        CHILD,
        CHILD + 7,
        Way::Wake,
    );
    assert_eq!(stuck_thread(&made.0, CHILD), Some(CHILD + 7));
}

//! Waits that are neither a finding nor accounted for.

use super::*;

#[test]
fn who_waits_in_a_file_that_has_its_name_may_be_woken_by_others() {
    let named = |name: &str, by_name| {
        let mut made = circle();
        made.0.processes[0].handlers = Some(0);
        name.clone_into(&mut made.0.things[0].name);
        made.0.things[0].by_name = by_name;
        made
    };
    for name in ["/dev/zero (deleted)", "/memfd:x (deleted)", "/dev/shm/sem.mp-1 (deleted)"] {
        assert_eq!(named(name, false).finding().confidence, Confidence::Certain, "{name}");
    }
    let open = [("/dev/shm/sem.mine", false), ("/SYSV00000011 (deleted)", false), ("", false)];
    for (name, by_name) in open.into_iter().chain([("/tmp/linked-twice (deleted)", true)]) {
        let told = accounts(&named(name, by_name).0, CHILD);
        assert_eq!(told[0].can_run, None, "{name}: it is not accounted for");
        assert!(named(name, by_name).ends_by_itself(), "{name}");
    }
}

#[test]
fn who_is_stopped_and_who_waits_for_it_is_not_accounted_for() {
    let stopped = || TaskState::Waits(TaskWait { stopped: true, ..TaskWait::default() });
    let alone = Made::default().process(CHILD, 0).state(CHILD, CHILD, stopped());
    let told = accounts(&alone.0, CHILD);
    assert_eq!((told[0].can_run, told[0].stopped), (None, true));
    assert!(alone.ends_by_itself(), "it is no finding: somebody may continue it");
    let parents = |state| {
        Made::default()
            .process(CHILD, 0)
            // It has a handler of SIGTERM.
            .process(90, TERM)
            .thing(ThingKind::Children, &[(90, "w")])
            .waits(CHILD, CHILD, Way::Exit)
            .state(90, 90, state)
    };
    let can_run = |made: &Made| accounts(&made.0, CHILD)[0].can_run;
    assert_eq!(can_run(&parents(stopped())), None);
    assert_eq!(can_run(&parents(TaskState::Moves)), Some(true));
    assert!(parents(stopped()).ends_by_itself());
}

#[test]
fn what_is_not_understood_is_accounted_for_only_by_one_who_is_known_to_run() {
    let waits = |users: &[(u32, &str)], state| {
        Made::default()
            .process(CHILD, 0)
            .process(PARENT, 0)
            .thing(ThingKind::Other, users)
            .waits(CHILD, CHILD, Way::Read)
            .state(PARENT, PARENT, state)
    };
    let can_run = |made: &Made| accounts(&made.0, CHILD)[0].can_run;
    assert_eq!(can_run(&waits(&[], TaskState::Moves)), None);
    assert_eq!(can_run(&waits(&[(PARENT, "rw")], TaskState::Moves)), Some(true));
    assert_eq!(can_run(&waits(&[(PARENT, "rw")], TaskState::Unknown)), None);
    assert!(waits(&[], TaskState::Moves).ends_by_itself(), "it is no finding");
}

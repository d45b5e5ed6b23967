//! Threads that poll, before that has gone on for long enough to be judged.

use super::*;

/// The child waits for a word of its own, with a timeout that has run out so often.
fn polling(polls: Polls) -> Made {
    let mut made = Made::default()
        .process(CHILD, 0)
        .thing(ThingKind::PrivateWord, &[(CHILD, "w")])
        .waits(CHILD, CHILD, Way::Wake);
    let wait = made.wait(0);
    (wait.timed, wait.since_ns, wait.polls) = (true, 3 * SECOND, Some(polls));
    made
}

fn is_for_nobody(made: &Made) -> bool {
    polls_for_nobody(&made.0, CHILD, CHILD)
}

#[test]
fn who_polls_for_nobody_is_named_before_it_is_judged() {
    let quiet = Polls { times: 1, since_ns: SECOND, cpu_ns: 1000, transfers: Some(0) };
    assert!(is_for_nobody(&polling(quiet)));
    assert!(polling(quiet).ends_by_itself(), "that is no finding yet");
    for state in [TaskState::Moves, TaskState::Unknown] {
        assert!(!is_for_nobody(&polling(quiet).state(CHILD, CHILD + 1, state)), "that may wake it");
    }
    for busy in [
        Polls { transfers: Some(1), ..quiet },
        Polls { transfers: None, ..quiet },
        Polls { cpu_ns: SECOND / 4, ..quiet },
    ] {
        assert!(!is_for_nobody(&polling(busy)), "it does something else: {busy:?}");
    }
    let mut sleeps = polling(quiet);
    sleeps.wait(0).on.clear();
    assert!(!is_for_nobody(&sleeps), "it waits for nothing but the time");
    let mut once = polling(quiet);
    once.wait(0).polls = None;
    assert!(!is_for_nobody(&once));
}

use super::{thread::LATER_NS, *};
use crate::inspect::stall::look::Blocked;

const ID: ProcId = ProcId(3);
const PID: u32 = 30;
const SECOND: u64 = 1_000_000_000;
/// From when on a wait is long.
const LONG: u64 = 2 * SECOND;

/// A read, or a futex wait for the time at `timeout`, of a thread that was given a CPU so many times.
fn waiting(tid: u32, timeout: u64, runs: u64) -> Look {
    let private_wait = 128;
    let arguments = [0x1000, private_wait, 1, timeout, 0, 0];
    let number = if timeout == 0 { libc::SYS_read } else { libc::SYS_futex };
    let blocked = Blocked { number, arguments, place: (1, 2) };
    Look { tid, doing: Doing::Blocked(blocked), runs: Some(runs), cpu_ns: Some(runs) }
}

fn looked(watch: &mut Watch, at_ns: u64, threads: Vec<(Look, Option<Polling>)>) {
    assert_eq!(watch.due(&[(ID, PID)], u64::MAX).len(), 1);
    watch.take(vec![Sample { id: ID, pid: PID, threads, began_ns: at_ns, ended_ns: at_ns }]);
}

fn is_read(watch: &Watch, now_ns: u64) -> bool {
    watch.to_read(now_ns) == [ID]
}

#[test]
fn a_thread_that_does_not_move_is_read_when_its_wait_is_long_and_when_it_is_twice_as_long() {
    let mut watch = Watch::new(LONG);
    looked(&mut watch, SECOND, vec![(waiting(PID, 0, 7), None)]);
    looked(&mut watch, 2 * SECOND, vec![(waiting(PID, 0, 7), None)]);
    assert!(!is_read(&watch, 2 * SECOND) && is_read(&watch, 3 * SECOND));
    assert_eq!(watch.unread(3 * SECOND).count(), 1);
    assert!(watch.read(ID, &Stall::default(), None, 3 * SECOND), "the first time it is news");
    assert!(!is_read(&watch, 4 * SECOND) && is_read(&watch, 5 * SECOND));
    assert_eq!(watch.unread(4 * SECOND).count(), 0);
    assert!(!watch.read(ID, &Stall::default(), None, 5 * SECOND));
    looked(&mut watch, 6 * SECOND, vec![(waiting(PID, 0, 8), None)]);
    assert!(!is_read(&watch, 7 * SECOND), "it has moved, and waits anew");
    assert!(is_read(&watch, 8 * SECOND));
}

#[test]
fn a_futex_wait_is_read_later_than_other_calls() {
    let mut watch = Watch::new(LONG);
    let mut futex = waiting(PID, 9, 7);
    if let Doing::Blocked(blocked) = &mut futex.doing {
        blocked.arguments[3] = 0;
    }
    looked(&mut watch, SECOND, vec![(futex, None)]);
    looked(&mut watch, 2 * SECOND, vec![(futex, None)]);
    assert!(!is_read(&watch, 3 * SECOND) && is_read(&watch, 3 * SECOND + LATER_NS));
}

#[test]
fn a_process_is_read_at_once_when_the_thread_moves_that_was_stuck() {
    let mut watch = Watch::new(LONG);
    looked(&mut watch, SECOND, vec![(waiting(PID, 0, 7), None)]);
    watch.read(ID, &Stall::default(), Some(PID), 40 * SECOND);
    looked(&mut watch, 41 * SECOND, vec![(waiting(PID, 0, 7), None)]);
    assert!(!is_read(&watch, 41 * SECOND));
    looked(&mut watch, 42 * SECOND, vec![(waiting(PID, 0, 8), None)]);
    assert!(is_read(&watch, 42 * SECOND));
}

#[test]
fn a_wait_with_a_timeout_is_read_only_of_a_thread_that_polls_for_long() {
    let mut watch = Watch::new(LONG);
    let polling = Polling { since_ns: SECOND, ..Polling::default() };
    for second in 1..=20 {
        let polls = (second == 2).then_some(polling);
        let threads = vec![(waiting(PID, 9, second), polls), (waiting(31, 9, 1), None)];
        looked(&mut watch, second * SECOND, threads);
        assert_eq!(is_read(&watch, second * SECOND), second >= 12, "{second}");
    }
}

#[test]
fn a_process_is_not_read_while_the_thread_of_another_finding_does_not_move() {
    let mut watch = Watch::new(LONG);
    looked(&mut watch, SECOND, vec![(waiting(PID, 0, 7), None)]);
    watch.explained(ID, PID, 4 * SECOND);
    assert!(!is_read(&watch, 9 * SECOND));
    looked(&mut watch, 10 * SECOND, vec![(waiting(PID, 0, 8), None)]);
    assert!(is_read(&watch, 12 * SECOND));
    watch.forget(ID);
    assert!(!is_read(&watch, 20 * SECOND));
}

#[test]
fn a_thread_that_polls_is_named_when_two_waits_were_long_and_until_it_can_be_judged() {
    let mut watch = Watch::new(LONG);
    let polling = Polling { since_ns: 4 * SECOND, ..Polling::default() };
    let threads = |runs, polls| vec![(waiting(PID, 9, runs), polls)];
    looked(&mut watch, SECOND, threads(1, None));
    looked(&mut watch, 2 * SECOND, threads(1, None));
    assert_eq!(watch.polling(2 * SECOND).count(), 0, "one wait alone");
    looked(&mut watch, 4 * SECOND, threads(2, Some(polling)));
    assert_eq!(watch.polling_since_ns(ID, PID, 4 * SECOND), Some(Some(SECOND)));
    for second in 5..=20 {
        looked(&mut watch, second * SECOND, threads(second, None));
        let named = watch.polling(second * SECOND).count() == 1;
        assert_eq!(named, !is_read(&watch, second * SECOND), "{second}");
    }
    assert_eq!(watch.polling_since_ns(ID, PID, 20 * SECOND), Some(None));
    looked(&mut watch, 21 * SECOND, vec![(waiting(PID, 0, 50), None)]);
    looked(&mut watch, 22 * SECOND, vec![(waiting(PID, 9, 51), None)]);
    assert_eq!(watch.polling(22 * SECOND).count(), 0, "it does something else");
}

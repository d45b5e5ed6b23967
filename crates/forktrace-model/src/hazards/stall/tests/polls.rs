//! Threads that poll: before that has gone on for long enough to be judged, and after.

use super::*;
use forktrace_common::futex::FUTEX_WAIT_BITSET;

use crate::event::{LostThread, Python, PythonFrame};

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

/// A child that has polled for so long that it is judged.
fn long(polls: Polls) -> Made {
    let mut made = polling(polls);
    made.wait(0).since_ns = 12 * SECOND;
    made
}

const LONG: Polls = Polls { times: 100, since_ns: SECOND, cpu_ns: 0, transfers: Some(0) };

#[test]
fn timeouts_that_run_out_again_and_again_are_a_suspect_alone() {
    let finding = long(LONG).finding();
    assert_eq!(said(&finding), (HazardId::LostWaker, Confidence::Suspect));
    assert!(finding.has(Rule::PollsInVain) && finding.has(Rule::MayLookElsewhere));
    for other in [
        Polls { times: 9, ..LONG },
        Polls { since_ns: 3 * SECOND, ..LONG },
        Polls { cpu_ns: SECOND, ..LONG },
        Polls { transfers: Some(1), ..LONG },
        Polls { transfers: None, ..LONG },
    ] {
        assert!(long(other).ends_by_itself(), "{other:?}");
    }
}

#[test]
fn a_circle_that_a_timeout_ends_is_a_suspect() {
    let mut made = Made::default()
        .process(CHILD, 0)
        .process(PARENT, 0)
        .thing(ThingKind::Pipe, &[(PARENT, "w")])
        .waits(CHILD, CHILD, Way::Read)
        .thing(ThingKind::Children, &[(CHILD, "w")])
        .waits(PARENT, PARENT, Way::Exit);
    let wait = made.wait(0);
    (wait.timed, wait.since_ns, wait.polls) = (true, 12 * SECOND, Some(LONG));
    assert_eq!(said(&made.finding()), (HazardId::Deadlock, Confidence::Suspect));
}

/// The words of a glibc mutex that `owner` has and somebody waits for; likewise in `owners`.
fn mutex_of(owner: u32, polls: Polls) -> Made {
    let mut made = long(polls);
    let thing = &mut made.0.things[0];
    let words = [2, 0, owner, 1, 0, 0, 0, 0];
    let bytes = words.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
    (thing.word, thing.op) = (Some(0x7000), Some(FUTEX_WAIT_BITSET | 128 | 256));
    thing.now = Some(crate::event::Window { address: 0x7000, bytes });
    thing.mapping = Some(crate::event::Mapping::default());
    made
}

#[test]
fn who_tries_again_for_a_lock_of_a_lost_thread_polls_in_vain() {
    let finding = mutex_of(THREAD, LONG).finding();
    assert_eq!(said(&finding), (HazardId::LostWaker, Confidence::Likely));
    assert!(finding.has(Rule::OwnerOlder) && !finding.has(Rule::MayLookElsewhere));
    let writes = Polls { transfers: Some(100), ..LONG };
    assert_eq!(said(&mutex_of(THREAD, writes).finding()).1, Confidence::Likely, "it may log");
    for owner in [PARENT, THREAD + 100] {
        let finding = mutex_of(owner, LONG).finding();
        assert_eq!(said(&finding).1, Confidence::Suspect, "{owner} is no lost thread");
    }
    assert!(mutex_of(CHILD, writes).ends_by_itself(), "it has it itself");
    let mut namespace = mutex_of(THREAD, LONG);
    namespace.0.processes[0].ns_pid = Some(1);
    assert_eq!(said(&namespace.finding()).1, Confidence::Suspect);
    let mut handler = mutex_of(THREAD, LONG);
    handler.0.processes[0].handlers = Some(TERM);
    assert_eq!(said(&handler.finding()).1, Confidence::Suspect);
}

fn frame(file: &str, function: &str) -> PythonFrame {
    PythonFrame { file: file.into(), line: 1, function: function.into() }
}

fn in_python(frames: &[(&str, &str)]) -> Confidence {
    let mut made = long(LONG);
    let frames = frames.iter().map(|(file, function)| frame(file, function)).collect();
    made.0.python = Python::Frames(frames);
    made.finding().confidence
}

#[test]
fn who_polls_inside_of_an_installed_package_waits_for_its_lost_thread() {
    const WAIT: (&str, &str) = ("/usr/lib/python3.11/threading.py", "Event.wait");
    const MAIN: (&str, &str) = ("/srv/app/main.py", "main");
    const FSSPEC: (&str, &str) = ("/usr/lib/python3.11/site-packages/fsspec/asyn.py", "sync");
    const RESULT: (&str, &str) =
        ("/usr/lib/python3.11/concurrent/futures/_base.py", "Future.result");
    const GET: (&str, &str) = ("/usr/lib/python3.11/queue.py", "Queue.get");
    assert_eq!(in_python(&[WAIT, FSSPEC, MAIN]), Confidence::Likely);
    assert_eq!(in_python(&[WAIT, RESULT, MAIN]), Confidence::Likely);
    assert_eq!(in_python(&[WAIT, MAIN]), Confidence::Suspect);
    assert_eq!(in_python(&[WAIT, GET, MAIN]), Confidence::Suspect, "a worker that is idle");
    assert_eq!(in_python(&[WAIT, MAIN, FSSPEC]), Confidence::Suspect, "it was called from there");
}

/// `stack`: the modules of the child's frames, `lost`: those of a lost thread's.
fn in_modules(stack: &[&str], lost: &[&str]) -> Made {
    let frames = |paths: &[&str]| Stack {
        frames: paths
            .iter()
            .map(|path| Frame { module: Some((*path).into()), ..Frame::default() })
            .collect(),
        cut: None,
    };
    let mut made = long(LONG);
    made.0.processes[0].exe = "/srv/app/server".into();
    made.0.stack = frames(stack);
    let stack = Some(Box::new(frames(lost)));
    made.0.lost_threads = vec![LostThread { tid: THREAD, stack, ..LostThread::default() }];
    made
}

#[test]
fn who_polls_inside_of_a_library_that_lost_its_thread_waits_for_that() {
    const LIBC: &str = "/usr/lib/libc.so.6";
    const KAFKA: &str = "/usr/lib/librdkafka.so.1";
    const GLIB: &str = "/usr/lib/libglib-2.0.so.0";
    const APP: &str = "/srv/app/server";
    let sure = |made: Made| made.finding().confidence;
    let flushes = || in_modules(&[LIBC, KAFKA, APP], &[LIBC, KAFKA, LIBC]);
    assert_eq!(sure(flushes()), Confidence::Likely);
    let mut other = flushes();
    other.0.tasks[0].tid = CHILD + 1;
    assert_eq!(sure(other), Confidence::Suspect, "a thread of the child's own may serve it");
    for (stack, lost) in [
        ([LIBC, KAFKA, APP], [LIBC, APP, LIBC]),
        ([LIBC, APP, KAFKA], [LIBC, KAFKA, LIBC]),
        ([LIBC, APP, APP], [LIBC, APP, LIBC]),
        // A program waits by its condition variables for something of its own.
        ([LIBC, GLIB, APP], [LIBC, GLIB, LIBC]),
    ] {
        assert_eq!(sure(in_modules(&stack, &lost)), Confidence::Suspect, "{stack:?} {lost:?}");
    }
}

use super::{end, fork, log, read, start};
use crate::{Checker, Line};
use forktrace_model::event::{
    Body, Event, EventsLost, FutexWait, ProcessExit, ProcessSnapshot, Rotated, Task,
    TraceConclusion, TraceEnd, TraceStart, Wait,
};

fn task(boot_ns: u64, pid: u32, body: Body) -> Event {
    Event { boot_ns, task: Some(Task { pid, tid: pid, comm: "x".into() }), body }
}

fn alive(boot_ns: u64, pid: u32) -> Event {
    let seen = ProcessSnapshot { read_ns: boot_ns + 5, ..ProcessSnapshot::default() };
    task(boot_ns, pid, Body::ProcessSnapshot(seen))
}

fn wait(boot_ns: u64, pid: u32, enter_ns: u64, result: Option<i64>) -> Event {
    let wait = Wait { enter_ns, ..Wait::default() };
    task(boot_ns, pid, Body::FutexWait(FutexWait { wait, result, over: false }))
}

fn whole(events: Vec<Event>) -> Vec<Event> {
    [vec![start()], events, vec![end()]].concat()
}

fn lines(events: &[Event]) -> Vec<Line> {
    read(&log(events)).0.into_iter().map(Result::unwrap).collect()
}

/// What is wrong with the files that have these lines, each with its line.
fn problems(files: &[Vec<Line>]) -> Vec<String> {
    let mut checker = Checker::default();
    let mut all = Vec::new();
    for lines in files {
        checker.begin();
        for (number, line) in (1..).zip(lines) {
            all.extend(checker.line(number, line));
        }
        all.extend(checker.end(lines.len() as u64));
    }
    all.into_iter().map(|problem| format!("{}: {}", problem.line, problem.text)).collect()
}

fn of(events: &[Event]) -> String {
    problems(&[lines(events)]).join("\n")
}

#[test]
fn looks_may_miss_the_end_of_a_wait_and_how_it_ended() {
    let lean = |boot_ns, enter_ns, over| {
        let mut event = wait(boot_ns, 4312, enter_ns, None);
        if let Body::FutexWait(wait) = &mut event.body {
            (wait.over, wait.wait.not_before_ns) = (over, Some(enter_ns - 5));
        }
        event
    };
    let mut events = vec![alive(2, 4200), fork(), lean(2_000_000_100, 2_000_000_050, false)];
    events.push(lean(2_000_000_200, 2_000_000_150, false));
    events.push(lean(2_000_000_300, 2_000_000_150, true));
    events.push(wait(2_000_000_400, 4312, 2_000_000_350, None));
    assert_eq!(of(&whole(events)), "");
}

#[test]
fn a_log_as_it_should_be() {
    let events = vec![
        alive(2, 4200),
        fork(),
        wait(2_000_000_100, 4312, 2_000_000_050, None),
        wait(2_000_000_200, 4312, 2_000_000_050, Some(0)),
        wait(2_000_000_300, 4312, 2_000_000_250, None),
        task(2_000_000_400, 4312, Body::ProcessExit(ProcessExit::default())),
    ];
    assert_eq!(of(&whole(events)), "");
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    assert!(of(&[start(), alive(1, 7)]).contains("2: the log is cut off"));
    assert!(of(&[start(), end(), end()]).contains("3: there is a line after trace.end"));
    assert!(of(&whole(vec![start()])).contains("2: a trace.start line that is not the first line"));
    let exit = task(90, 8, Body::ProcessExit(ProcessExit::default()));
    assert_eq!(
        of(&whole(vec![alive(9, 7), exit.clone()])),
        "3: an event of process 8, which is unknown"
    );
    let early = task(3, 8, Body::ProcessExit(ProcessExit::default()));
    assert_eq!(of(&whole(vec![early, alive(9, 7)])), "", "it ended before it could be looked at");
    let back = whole(vec![alive(9, 7), alive(8, 7)]);
    assert!(of(&back).contains("3: the time goes back by 1 ns"));
    let twice = whole(vec![alive(2, 7), wait(9, 7, 5, None), wait(10, 7, 6, None)]);
    assert_eq!(of(&twice), "4: thread 7 has two waits at the same time");
    let future = whole(vec![alive(2, 7), wait(9, 7, 10, Some(0))]);
    assert_eq!(of(&future), "3: a wait that begins after its line");
    let lost = Body::TraceEnd(TraceEnd { lost: 3, ..TraceEnd::default() });
    let lost = Event { boot_ns: 5, task: None, body: lost };
    assert_eq!(
        of(&[start(), lost]),
        "2: trace.end counts 3 lost events, but the events.lost lines count 0"
    );
}

#[test]
fn a_conclusion_that_the_lines_before_it_do_not_bear_out_is_told() {
    let end = |conclusion, lost| {
        let conclusion = Some(conclusion);
        let body = Body::TraceEnd(TraceEnd { conclusion, lost, ..TraceEnd::default() });
        Event { boot_ns: 5, task: None, body }
    };
    let lost = || {
        let lost = EventsLost { count: 1, ..EventsLost::default() };
        Event { boot_ns: 4, task: None, body: Body::EventsLost(lost) }
    };
    for conclusion in [TraceConclusion::Clear, TraceConclusion::Unsure] {
        assert_eq!(of(&[start(), end(conclusion, 0)]), "");
    }
    assert!(of(&[start(), end(TraceConclusion::Hangs, 0)]).contains("`hangs`, but there is no"));
    let lossy = of(&[start(), lost(), end(TraceConclusion::Clear, 1)]);
    assert!(lossy.contains("`clear`, but events were lost"), "{lossy}");
    assert_eq!(of(&[start(), lost(), end(TraceConclusion::Unsure, 1)]), "");
}

#[test]
fn missing_lines_are_told_unless_the_log_tells_them_itself() {
    let mut cut = lines(&whole(vec![alive(2, 7), alive(3, 7)]));
    cut.remove(1);
    assert_eq!(problems(&[cut]), ["2: seq is 3 after 1"]);
    let by_kind = [("unwritten".to_owned(), 2)].into();
    let lost = Body::EventsLost(EventsLost { count: 2, by_kind });
    let lost = Event { boot_ns: 4, task: None, body: lost };
    let mut told = lines(&whole(vec![alive(2, 7), alive(3, 7), lost]));
    told.drain(1..3);
    assert_eq!(problems(&[told]), [""; 0]);
}

#[test]
fn parts_follow_each_other() {
    let part = |part: u32, last: Body| {
        let begin = TraceStart { part, ..TraceStart::default() };
        let at = u64::from(part) * 10;
        let begin = Event { boot_ns: at, task: None, body: Body::TraceStart(Box::new(begin)) };
        lines(&[begin, alive(at, 7), Event { boot_ns: at, task: None, body: last }])
    };
    let rotated = |next| Body::Rotated(Rotated { next });
    let last = Body::TraceEnd(TraceEnd::default());
    let parts = [part(1, rotated(2)), part(2, rotated(3)), part(3, last.clone())];
    assert_eq!(problems(&parts), [""; 0]);
    assert_eq!(problems(&parts[1..]), [""; 0], "without the first");
    let gap = [parts[0].clone(), parts[2].clone()];
    assert_eq!(problems(&gap), ["1: part 3 does not follow part 1"]);
    let cut = [part(1, Body::Resync(Default::default())), part(2, last)];
    assert_eq!(problems(&cut).len(), 2);
}

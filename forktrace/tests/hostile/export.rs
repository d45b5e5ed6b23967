//! `export` of such logs. Its own files' tests prove that what is looked up many at a time is what looking
//! at one after the other would find (`export/spans.rs`, `export/descent.rs`).

use std::io::sink;

use forktrace_model::event::{
    ProcessSnapshot, Relative, RelativeThread, ThreadExit, ThreadStart, UnobservedFork,
};

use forktrace::export::{
    Timeline, TimelineBuilder, csv, dot, html, perfetto, svg, table,
    timeline::{Found, LogEnd, Process, WaitEnd},
};

use forktrace_log::proc_uid;

use super::*;

/// So many findings that each may cost what judging costs, but not what many processes do.
const FINDINGS: u32 = 5_000;

fn told(events: impl IntoIterator<Item = Event>) -> Timeline {
    let mut teller = TimelineBuilder::pipeline();
    for event in events {
        teller.event(&event).unwrap();
    }
    teller.finish(LogEnd::default())
}

/// In every format that is made of a story.
fn draw(story: &Timeline) {
    html::write(&mut sink(), story).unwrap();
    perfetto::write(&mut sink(), story, true).unwrap();
    dot::write(&mut sink(), story, true).unwrap();
    svg::write(&mut sink(), story, true).unwrap();
}

/// In the formats that are made line by line.
fn tabulate(events: &[Event]) {
    let mut csv = csv::Writer::new(sink()).unwrap();
    #[cfg(feature = "parquet")]
    let mut parquet = forktrace::export::parquet::Writer::new(sink()).unwrap();
    let mut pipeline = table::Table::pipeline(|row: &table::Row| {
        #[cfg(feature = "parquet")]
        parquet.row(row)?;
        csv.row(row)
    });
    for event in events {
        pipeline.event(event).unwrap();
    }
    drop(pipeline);
    csv.finish().unwrap();
    #[cfg(feature = "parquet")]
    parquet.finish().unwrap();
}

fn waits(at: u32, pid: u32, tid: u32, wait: Wait, result: Option<i64>) -> Event {
    let wait = FutexWait { wait, result, ..FutexWait::default() };
    let mut event = event(at, pid, Body::FutexWait(wait));
    event.task.as_mut().unwrap().tid = tid;
    event
}

#[test]
fn waits_do_not_cost_an_export_more_the_more_threads_had_their_number() {
    let mut events = vec![fork(1, 2)];
    for at in 2..MANY {
        let start = ThreadStart { child_tid: 3, ..ThreadStart::default() };
        let enter_ns = u64::from(at);
        let wait = waits(at, 2, 3, Wait { enter_ns, ..Wait::default() }, None);
        let mut exit =
            event(at, 2, Body::ThreadExit(ThreadExit { group_dead: Some(false), ended: None }));
        exit.task.as_mut().unwrap().tid = 3;
        events.extend([event(at, 2, Body::ThreadStart(start)), wait, exit]);
    }
    let story = told(events);
    assert_eq!(story.waits.len(), MANY as usize - 2);
    let of = |wait: usize| story.threads.get(story.waits[wait].thread.unwrap() as usize).unwrap();
    let last = of(story.waits.len() - 1);
    assert_eq!((last.tid, last.began_ns), (3, u64::from(MANY) - 1));
    draw(&story);
}

#[test]
fn waits_do_not_cost_an_export_more_the_more_findings_are_about_their_word() {
    let (mut events, fork, look) = hang();
    events.push(fork);
    let Body::Evidence(evidence) = &look.body else { unreachable!("it is a look") };
    let (pid, word) = (look.task.as_ref().unwrap().pid, evidence.wait.uaddr);
    let times =
        |n: u32| (look.boot_ns + u64::from(n) * 1000, look.boot_ns + u64::from(n) * 1000 + 500);
    let wait = |enter_ns| Wait { enter_ns, uaddr: word, ..Wait::default() };
    for n in 1..=FINDINGS {
        let (enter_ns, found_ns) = times(n);
        let mut look = look.clone();
        look.boot_ns = found_ns;
        if let Body::Evidence(evidence) = &mut look.body {
            evidence.wait.enter_ns = enter_ns;
        }
        let over = waits(0, pid, pid, wait(enter_ns), Some(0));
        events.extend([look, Event { boot_ns: found_ns + 1, ..over }]);
    }
    let (last_ns, _) = times(FINDINGS + 1);
    for n in 0..MANY {
        let enter_ns = last_ns + u64::from(n);
        events.push(Event { boot_ns: enter_ns, ..waits(0, pid, pid, wait(enter_ns), None) });
    }
    let story = told(events.clone());
    assert_eq!(story.findings.len(), FINDINGS as usize);
    let first = story.waits.len() - (FINDINGS + MANY) as usize;
    for n in 0..FINDINGS {
        assert_eq!(story.waits[first + n as usize].finding, Some(n), "each its own");
    }
    assert!(story.waits.last().unwrap().finding.is_none(), "it is later than all of them");
    draw(&story);
    tabulate(&events);
}

/// The recorded look as one at a process whose fork was not seen, and whose parent, which has the lock, is
/// in the log nowhere.
fn late(mut look: Event) -> Event {
    let at = look.boot_ns;
    let Body::Evidence(evidence) = &mut look.body else { unreachable!("it is a look") };
    let now = evidence.now.as_ref().unwrap();
    let owner = now.word(evidence.wait.uaddr + 8).unwrap();
    let thread = RelativeThread { tid: owner, start_ns: 1, ..RelativeThread::default() };
    let kin = Relative {
        pid: 7,
        parent: true,
        same_pid_ns: true,
        threads: vec![thread],
        ..Relative::default()
    };
    let late = UnobservedFork {
        start_ns: at / 2,
        not_execed: true,
        relative: Some(kin),
        ..UnobservedFork::default()
    };
    evidence.late = Some(Box::new(late));
    look
}

#[test]
fn findings_do_not_cost_an_export_more_the_longer_their_lines_of_ancestors() {
    let (before, _, look) = hang();
    let mut start = before.first().unwrap().clone();
    let Body::TraceStart(trace) = &mut start.body else { unreachable!("a log begins so") };
    // Nor the more processes were asked for.
    trace.asked = (1..MANY).collect();
    let mut events = vec![start];
    let first = 1 << 24;
    for pid in first..first + MANY {
        let seen = ProcessSnapshot { ppid: pid - 1, start_ns: 1, ..ProcessSnapshot::default() };
        events.push(event(2, pid, Body::ProcessSnapshot(seen)));
    }
    let look = late(look);
    for pid in first + MANY - FINDINGS..first + MANY {
        let mut look = look.clone();
        let task = look.task.as_mut().unwrap();
        (task.pid, task.tid) = (pid, pid);
        let Body::Evidence(evidence) = &mut look.body else { unreachable!("it is a look") };
        evidence.threads.truncate(1);
        evidence.threads.first_mut().unwrap().tid = pid;
        events.push(look);
    }
    let story = told(events.clone());
    assert_eq!(story.findings.len(), FINDINGS as usize);
    let found = story.findings.last().unwrap();
    assert_eq!(found.finding.holder().as_ref().unwrap().pid, 7);
    assert!(found.holder_thread.is_none() && found.thread.is_some());
    assert_eq!(story.processes.last().unwrap().above, Some(MANY - 2));
    draw(&story);
    tabulate(&events);
}

#[test]
fn a_picture_does_not_cost_more_the_more_stand_below_a_line_that_does_not_fit() {
    // Of 2,000 rows 200 are taken first. Then come many of which each needs a line of 1,900 more.
    let (singles, all) = (200, 2 * MANY);
    let line = all - 1_900;
    let above = |id: u32| match id {
        _ if id < singles || id == line => None,
        _ if id < line => Some(all - 1),
        _ => Some(id - 1),
    };
    let process = |id| Process { id, pid: id, above: above(id), ..Process::default() };
    let story = Timeline { processes: (0..all).map(process).collect(), ..Timeline::default() };
    let mut dot = Vec::new();
    dot::write(&mut dot, &story, true).unwrap();
    let dot = String::from_utf8(dot).unwrap();
    assert!(dot.contains("and 398,000 more"), "the first 200, and 1,800 of the line");
    draw(&story);
}

#[test]
fn what_a_finding_says_is_not_said_whole_of_each_of_its_waits() {
    let (_, judge, _) = hangs(1);
    let judged = judge.findings().first().unwrap();
    let mut finding = judged.finding.clone();
    let mapping = "/x".repeat(1 << 19);
    if let Detail::Wait(wait) = &mut finding.detail {
        wait.lock.mapping = LockPlace::Named(mapping.clone());
    }
    let found = Found {
        finding,
        process: 0,
        thread: None,
        holder_thread: None,
        first_ns: 1,
        boot_ns: 1,
        waits_since_ns: 1,
        end_ns: None,
        end: WaitEnd::Open,
        shown: true,
    };
    let (mut events, waited) = (vec![fork(1, 2)], FINDINGS);
    events.extend(
        (1..=waited)
            .map(|at| waits(at, 2, 2, Wait { enter_ns: u64::from(at), ..Wait::default() }, None)),
    );
    let mut story = told(events);
    story.findings.push(found);
    for wait in &mut story.waits {
        wait.finding = Some(0);
    }
    let size = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut whole = Vec::new();
        write(&mut whole);
        whole.len()
    };
    let sizes = [
        size(&|w| svg::write(w, &story, true).unwrap()),
        size(&|w| dot::write(w, &story, true).unwrap()),
        size(&|w| html::write(w, &story).unwrap()),
        size(&|w| perfetto::write(w, &story, true).unwrap()),
    ];
    let most = 10 * mapping.len();
    assert!(sizes.iter().all(|size| *size < most), "{sizes:?}");
}

#[test]
fn a_boot_id_does_not_cost_its_length_for_each_process() {
    let boot_id = "x".repeat(1 << 24);
    for pid in 0..MANY {
        assert!(proc_uid(&boot_id, pid, 1).len() < 30);
    }
}

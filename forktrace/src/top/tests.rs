//! What is on the screen, of a recorded run of a server and of processes made up.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::io;

use jiff::tz::TimeZone;
use ratatui::{
    Terminal,
    backend::TestBackend,
    crossterm::event::{KeyCode, KeyEvent, KeyModifiers},
    style::Color,
};

use super::{draw::draw, *};
use crate::{
    pipeline::{At, Follow, Pipeline, Sink, Standing},
    report::{Clock, Style},
};
use forktrace_log::{Input, LineKind, Reader};
use forktrace_model::event::{
    Body, Event, ProcessExit, ProcessFork, ProcessSnapshot, Task, ThreadName,
};

/// A recorded run of a server, with findings.
static LOG: &[u8] = include_bytes!("../../tests/golden/prefork.jsonl");
const S: u64 = 1_000_000_000;

struct Nothing;

impl Sink for Nothing {
    fn event(&mut self, _: &At<'_>) -> io::Result<()> {
        Ok(())
    }
}

fn logged() -> Vec<Event> {
    let lines = Reader::new(Input::new(LOG).unwrap());
    let event = |line: Result<forktrace_log::Line, _>| match line.unwrap().kind {
        LineKind::Event(event) => Some(event),
        _ => None,
    };
    lines.filter_map(event).collect()
}

/// What is known after these events, `later` ns after the last of them.
fn state(events: &[Event], later: u64) -> State {
    let mut pipeline = Pipeline::new(Follow::default(), Nothing);
    for event in events {
        pipeline.event(event).unwrap();
    }
    let now_ns = events.last().map_or(0, |event| event.boot_ns) + later;
    let state = State::of(pipeline.follow(), &Shown::default(), now_ns);
    State { scope: "all processes".into(), ..state }
}

/// The children of the recorded server hang.
fn hanging() -> State {
    let events: Vec<Event> = logged();
    let end = events.iter().position(|event| matches!(event.body, Body::TraceEnd(_))).unwrap();
    state(&events[..end], 0)
}

fn of(pid: u32, comm: &str, body: Body) -> Event {
    Event { boot_ns: 0, task: Some(Task { pid, tid: pid, comm: comm.into() }), body }
}

fn alive(pid: u32, ppid: u32, comm: &str, threads: u32) -> Event {
    let threads = (0..threads).map(|n| ThreadName { tid: pid + n, comm: comm.into() }).collect();
    let seen = ProcessSnapshot { ppid, start_ns: 1, threads, ..ProcessSnapshot::default() };
    of(pid, comm, Body::ProcessSnapshot(seen))
}

fn fork(pid: u32, comm: &str, child_pid: u32) -> Event {
    of(pid, comm, Body::ProcessFork(ProcessFork { child_pid, clone_flags: 0 }))
}

fn exit(pid: u32, comm: &str) -> Event {
    of(pid, comm, Body::ProcessExit(ProcessExit::default()))
}

/// These events, a second apart.
fn timed(events: Vec<Event>) -> Vec<Event> {
    let timed = events.into_iter().zip(1..);
    timed.map(|(event, at)| Event { boot_ns: at * S, ..event }).collect()
}

fn view(state: State) -> View {
    let clock = Clock { offset_ns: 1_700_000_000 * 1_000_000_000, zone: TimeZone::UTC };
    let mut view = View::new(Arrangement::default(), Style::default(), clock);
    view.take(state);
    view
}

fn key(view: &mut View, code: KeyCode) -> Act {
    view.key(KeyEvent::new(code, KeyModifiers::NONE))
}

fn typed(view: &mut View, keys: &str) -> Vec<Act> {
    keys.chars().map(|c| key(view, KeyCode::Char(c))).collect()
}

fn painted(view: &mut View, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view)).unwrap();
    terminal
}

fn lines(view: &mut View, width: u16, height: u16) -> Vec<String> {
    let buffer = painted(view, width, height).backend().buffer().clone();
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_owned()).collect()
}

fn pids(view: &View) -> Vec<u32> {
    view.rows().iter().map(|row| row.seen.process.pid).collect()
}

fn assert_screen(name: &str, view: &mut View, width: u16, height: u16) {
    let text = lines(view, width, height).join("\n");
    insta::with_settings!({ snapshot_path => "tests/snapshots", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn screens() {
    let mut view = view(hanging());
    assert_screen("tree-80x24", &mut view, 80, 24);
    assert_screen("tree-120x24", &mut view, 120, 24);
    assert_screen("tree-60x10", &mut view, 60, 10);
    typed(&mut view, "th");
    assert_screen("flat-findings-80x24", &mut view, 80, 24);
    key(&mut view, KeyCode::Enter);
    assert_screen("details-80x24", &mut view, 80, 24);
    key(&mut view, KeyCode::End);
    assert_screen("details-end-80x24", &mut view, 80, 24);
    key(&mut view, KeyCode::Esc);
    typed(&mut view, "?");
    assert_screen("keys-80x24", &mut view, 80, 24);
    typed(&mut view, "?s");
    assert_screen("sort-80x24", &mut view, 80, 24);
    let marks_ns = vec![150 * S, 180 * S];
    view.set_ruler(Ruler { from_ns: 100 * S, until_ns: 200 * S, at_ns: 160 * S, marks_ns });
    assert_screen("ruler-80x24", &mut view, 80, 24);
}

#[test]
fn any_size_can_be_painted() {
    let mut view = view(hanging());
    for (width, height) in [(1, 1), (2, 2), (8, 3), (30, 5), (69, 4), (500, 100)] {
        for keys in ["", "?", "x"] {
            typed(&mut view, keys);
            painted(&mut view, width, height);
        }
        key(&mut view, KeyCode::Enter);
        painted(&mut view, width, height);
        key(&mut view, KeyCode::Esc);
    }
}

#[test]
fn nothing_is_told_by_colour_alone_and_none_is_used_without_it() {
    let mut view = view(hanging());
    let plain = painted(&mut view, 120, 24).backend().buffer().clone();
    assert!(plain.content().iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    view.style.color = true;
    let colored = painted(&mut view, 120, 24).backend().buffer().clone();
    assert!(colored.content().iter().any(|cell| cell.fg == Color::Red));
    let text = |buffer: &ratatui::buffer::Buffer| -> String {
        buffer.content().iter().map(|cell| cell.symbol().to_owned()).collect()
    };
    assert_eq!(text(&plain), text(&colored));
}

#[test]
fn names_are_escaped_everywhere() {
    let hostile = "\x1b[2Ja\nb\u{202e}";
    let events = timed(vec![alive(10, 1, hostile, 1), alive(11, 10, "x", 1)]);
    let mut view = view(state(&events, 0));
    for keys in ["", "t"] {
        typed(&mut view, keys);
        let table = lines(&mut view, 120, 10).join("\n");
        assert!(table.contains("\\x1b[2Ja\\nb\\u{202e}"), "{table}");
        key(&mut view, KeyCode::Home);
        key(&mut view, KeyCode::Enter);
        let details = lines(&mut view, 120, 24).join("\n");
        assert!(details.contains("\\x1b[2Ja\\nb\\u{202e}[10]"), "{details}");
        assert!(!format!("{table}{details}").contains(['\x1b', '\u{202e}']));
        key(&mut view, KeyCode::Esc);
    }
    typed(&mut view, "/");
    typed(&mut view, "\u{7}2ja");
    assert_eq!(pids(&view), [10], "what is seen can be searched for");
    let (mut table, mut json) = (Vec::new(), Vec::new());
    let how = (&view.arrangement, &view.clock);
    plain::table(&mut table, view.state(), how.0, Style::default(), how.1).unwrap();
    plain::json(&mut json, view.state(), how.0, how.1).unwrap();
    assert!(!table.contains(&0x1b) && !json.contains(&0x1b));
}

#[test]
fn what_is_worse_comes_first() {
    let shown = view(hanging());
    let rows = shown.rows();
    let hung: Vec<usize> =
        (0..rows.len()).filter(|at| rows[*at].seen.standing == Standing::Hangs).collect();
    assert!(!hung.is_empty());
    // Above the first one there are only processes that it stands below.
    let first = *hung.first().unwrap();
    let mut above = rows[first].seen.above();
    for row in rows[..first].iter().rev() {
        assert_eq!(Some(row.seen.process.id), above);
        above = row.seen.above();
    }
    let mut flat = view(hanging());
    typed(&mut flat, "t");
    let standing: Vec<Standing> = flat.rows().iter().map(|row| row.seen.standing).collect();
    assert!(standing.is_sorted_by(|a, b| a >= b), "{standing:?}");
}

#[test]
fn a_tree_keeps_those_above_what_is_asked_for() {
    let events = timed(vec![
        alive(1, 0, "init", 1),
        alive(20, 1, "web", 3),
        fork(20, "web", 21),
        alive(30, 1, "cron", 1),
    ]);
    let mut view = view(state(&events, 0));
    assert_eq!(pids(&view), [1, 20, 21, 30], "21 was forked beside threads");
    let at_risk = view.state().processes.iter().find(|seen| seen.process.pid == 21).unwrap();
    assert_eq!(at_risk.standing, Standing::AtRisk);
    typed(&mut view, "/21");
    assert_eq!(pids(&view), [1, 20, 21]);
    key(&mut view, KeyCode::Enter);
    typed(&mut view, "t");
    assert_eq!(pids(&view), [21]);
    key(&mut view, KeyCode::Esc);
    assert_eq!(pids(&view).len(), 4);
    typed(&mut view, "h");
    assert!(pids(&view).is_empty());
    assert!(lines(&mut view, 80, 5).contains(&"no process to show".to_owned()));
}

#[test]
fn while_it_is_paused_nothing_disappears() {
    let mut events = timed(vec![alive(10, 1, "a", 1), alive(11, 1, "b", 1)]);
    let mut view = view(state(&events, 0));
    typed(&mut view, " ");
    events.push(Event { boot_ns: 9 * S, ..exit(11, "b") });
    view.take(state(&events, 0));
    assert_eq!(pids(&view), [10, 11]);
    assert!(lines(&mut view, 80, 5)[0].starts_with("PAUSED"));
    typed(&mut view, " ");
    assert_eq!(pids(&view), [10]);
    typed(&mut view, "r");
    assert_eq!(pids(&view), [10, 11]);
    let much_later = state(&events, 400 * S);
    view.take(much_later);
    assert_eq!(pids(&view), [10], "it ended too long ago");
}

#[test]
fn the_chosen_process_stays_chosen() {
    let events = |more: Vec<Event>| {
        timed([alive(10, 1, "a", 1), alive(12, 1, "c", 1)].into_iter().chain(more).collect())
    };
    let mut view = view(state(&events(Vec::new()), 0));
    assert_eq!(view.chosen().unwrap().process.pid, 10);
    key(&mut view, KeyCode::Down);
    assert_eq!(view.chosen().unwrap().process.pid, 12);
    view.take(state(&events(vec![alive(11, 1, "b", 1)]), 0));
    assert_eq!((view.chosen().unwrap().process.pid, view.row), (12, 2));
    key(&mut view, KeyCode::Enter);
    view.take(state(&events(vec![exit(12, "c")]), 0));
    let text = lines(&mut view, 80, 12).join("\n");
    assert!(text.contains("c[12]   ended"), "what is read stays: {text}");
    key(&mut view, KeyCode::Esc);
    assert_eq!(view.chosen().unwrap().process.pid, 10);
}

#[test]
fn until_somebody_chooses_the_worst_is_chosen() {
    let quiet = state(&timed(vec![alive(10, 1, "a", 1)]), 0);
    let mut view = view(quiet.clone());
    view.take(hanging());
    assert_eq!(view.chosen().unwrap().standing, Standing::Hangs);
    view.take(quiet);
    assert_eq!(view.chosen().unwrap().process.pid, 10);
}

#[test]
fn rows_can_be_ordered_by_each_column() {
    let events = timed(vec![alive(12, 1, "a", 1), alive(10, 1, "c", 1), alive(11, 1, "b", 1)]);
    let mut view = view(state(&events, 0));
    typed(&mut view, "ts");
    for _ in 0..9 {
        key(&mut view, KeyCode::Right);
    }
    assert_eq!(view.arrangement.sort, Column::Command);
    assert_eq!(pids(&view), [12, 11, 10]);
    typed(&mut view, "-");
    assert_eq!(pids(&view), [10, 11, 12]);
    for column in Column::ALL.iter().rev() {
        assert_eq!(view.arrangement.sort, *column);
        assert_eq!(pids(&view).len(), 3);
        key(&mut view, KeyCode::Left);
    }
    key(&mut view, KeyCode::Enter);
    assert_eq!(typed(&mut view, "q"), [Act::Quit]);
}

#[test]
fn keys_ask_for_what_only_their_owner_can_do() {
    let mut quiet = view(state(&timed(vec![alive(10, 1, "a", 1)]), 0));
    assert_eq!(typed(&mut quiet, "we["), [Act::Nothing, Act::Export, Act::Nothing]);
    assert!(quiet.message.contains("top FILE"), "{}", quiet.message);
    let mut hung = view(hanging());
    let Act::Write(id) = typed(&mut hung, "w")[0] else { panic!("it has a finding") };
    assert_eq!(hung.state().get(id).unwrap().standing, Standing::Hangs);
    hung.set_ruler(Ruler::default());
    let seeks = typed(&mut hung, "[]{}0$");
    assert_eq!(seeks[0], Act::Seek(Seek::Steps(-1)));
    assert_eq!(seeks[5], Act::Seek(Seek::End));
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    typed(&mut hung, "/");
    assert_eq!(hung.key(interrupt), Act::Quit);
}

use std::{fs, path::Path, time::Duration};

use super::{end, errors, fork, start};
use crate::{Carried, Format, Input, LineKind, Reader, Recorder, Rotation, Totals, format};
use forktrace_model::event::{Body, Event, TraceStart};

fn events(path: &Path) -> Vec<Event> {
    let input = Input::new(fs::File::open(path).unwrap()).unwrap();
    let lines: Vec<_> = Reader::new(input).collect();
    assert_eq!(errors(&lines), [""; 0]);
    let event = |line: crate::Line| match line.kind {
        LineKind::Event(event) => event,
        other => panic!("{other:?}"),
    };
    lines.into_iter().map(|line| event(line.unwrap())).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn record(path: &Path, format: Format, rotation: Rotation, carried: &[Carried]) -> Totals {
    let mut recorder = Recorder::open(path, format, rotation, None).unwrap();
    let machine = TraceStart { arch: "aarch64".into(), page_size: 16384, ..TraceStart::default() };
    let start = Event { body: Body::TraceStart(Box::new(machine)), ..start() };
    recorder.event(&start, None);
    for _ in 0..200 {
        recorder.event(&fork(), None);
        if recorder.is_due() {
            recorder.rotate(carried).unwrap();
        }
    }
    recorder.event(&end(), None);
    recorder.flush();
    assert!(recorder.take_error().is_none());
    recorder.totals()
}

#[test]
fn one_file_has_the_name_that_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    let totals = record(&path, Format::Plain, Rotation::default(), &[]);
    assert_eq!(names(dir.path()), ["t.jsonl"]);
    assert_eq!(events(&path).len(), 202);
    let len = fs::metadata(&path).unwrap().len();
    assert_eq!((totals.lines, totals.raw, totals.stored, totals.files), (202, len, len, 1));
}

#[test]
fn parts_are_numbered_begin_and_end_as_parts_and_only_the_last_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.b.jsonl");
    let carried = [(fork(), None), (fork(), None)];
    let rotation = Rotation { size: Some(4096), keep: Some(3), ..Rotation::default() };
    let totals = record(&path, Format::Plain, rotation, &carried);
    assert!(totals.files > 4, "{totals:?}");
    assert_eq!(totals.deleted, totals.files - 3);
    let kept: Vec<String> =
        (totals.files - 2..=totals.files).map(|n| format!("t.b.{n}.jsonl")).collect();
    let mut sorted = kept.clone();
    sorted.sort();
    assert_eq!(names(dir.path()), sorted);
    for (n, name) in (totals.files - 2..).zip(kept) {
        let events = events(&dir.path().join(name));
        let Body::TraceStart(begin) = &events[0].body else { panic!() };
        assert_eq!((begin.part, begin.carried), (n, 2));
        assert_eq!((begin.arch.as_str(), begin.page_size), ("aarch64", 16384));
        assert_eq!((&events[1], &events[2]), (&fork(), &fork()));
        match &events.last().unwrap().body {
            Body::Rotated(rotated) => assert_eq!(rotated.next, n + 1),
            Body::TraceEnd(_) => assert_eq!(n, totals.files),
            other => panic!("{other:?}"),
        }
        assert!(events.windows(2).all(|pair| pair[0].boot_ns <= pair[1].boot_ns));
    }
}

#[test]
fn what_is_carried_over_never_fills_a_file_alone() {
    let dir = tempfile::tempdir().unwrap();
    let carried: Vec<Carried> = (0..100).map(|_| (fork(), None)).collect();
    let rotation = Rotation { size: Some(1), ..Rotation::default() };
    let totals = record(&dir.path().join("t.jsonl.zst"), Format::Zstd, rotation, &carried);
    assert!(totals.files < 60, "{totals:?}");
    assert!(totals.stored < totals.raw / 2);
}

#[test]
fn a_file_that_somebody_else_put_there_is_not_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    let rotation = Rotation { size: Some(1), time: Some(Duration::from_secs(3600)), keep: Some(1) };
    let mut recorder = Recorder::open(&path, Format::Plain, rotation, None).unwrap();
    let first = recorder.path().to_owned();
    fs::rename(&first, dir.path().join("moved")).unwrap();
    fs::write(&first, "precious").unwrap();
    recorder.event(&start(), None);
    recorder.rotate(&[]).unwrap();
    assert_eq!(fs::read(&first).unwrap(), b"precious");
    assert_eq!(recorder.totals().deleted, 0);
}

#[test]
fn where_no_new_file_can_be_opened_the_old_one_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    let rotation = Rotation { size: Some(1), ..Rotation::default() };
    let mut recorder = Recorder::open(&path, Format::Plain, rotation, None).unwrap();
    fs::create_dir(dir.path().join("t.2.jsonl")).unwrap();
    recorder.event(&start(), None);
    assert!(recorder.is_due());
    assert!(recorder.rotate(&[]).is_err());
    assert!(!recorder.is_due(), "not again at once");
    recorder.event(&end(), None);
    recorder.flush();
    assert_eq!(events(&dir.path().join("t.1.jsonl")).len(), 2);
}

#[test]
fn parts_of_an_earlier_recording_are_not_mixed_with_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl.zst");
    for other in ["t.1.jsonl", "t.a.1.jsonl.zst", "t.x.jsonl.zst", "t.jsonl.zst"] {
        fs::write(dir.path().join(other), "precious").unwrap();
    }
    let rotation = Rotation { size: Some(1), ..Rotation::default() };
    drop(Recorder::open(&path, Format::Zstd, rotation.clone(), None).unwrap());
    fs::rename(dir.path().join("t.1.jsonl.zst"), dir.path().join("t.9.jsonl.zst")).unwrap();
    fs::write(dir.path().join("t.10.jsonl.zst"), "precious").unwrap();
    let before = names(dir.path());
    let error = Recorder::open(&path, Format::Zstd, rotation, None).unwrap_err();
    assert!(error.to_string().contains("t.9.jsonl.zst is a part of an earlier"), "{error}");
    assert_eq!(names(dir.path()), before);
    Recorder::open(&path, Format::Zstd, Rotation::default(), None).unwrap();
    assert_eq!(fs::read(dir.path().join("t.10.jsonl.zst")).unwrap(), b"precious");
}

#[test]
fn the_name_says_the_format() {
    assert_eq!(format(Path::new("/x/a.jsonl")), Ok(Format::Plain));
    assert_eq!(format(Path::new("a.jsonl.zst")), Ok(Format::Zstd));
    for name in ["a.zst", "a.jsonl.gz", "jsonl", ""] {
        assert!(format(Path::new(name)).is_err(), "{name}");
    }
}

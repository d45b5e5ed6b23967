//! The order of an acquisition, with a probe that reads nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Mutex;

use forktrace_model::event::{ThreadSample, stacks::NativeStacks};

use super::*;

/// Notes what it was asked.
#[derive(Default)]
struct Fake(Mutex<Vec<String>>);

impl Fake {
    fn note(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }

    fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Probe for Fake {
    fn place(&self, _: &Subject) -> Placement {
        self.note("place");
        Placement { target: Some(7), owner: None }
    }

    fn sample(&self, subject: &Subject, placement: Placement) -> Evidence {
        self.note(&format!("sample {}", placement.target.unwrap()));
        let renamed = ThreadSample {
            tid: subject.task.tid,
            comm: "renamed".into(),
            ..ThreadSample::default()
        };
        Evidence { threads: vec![renamed], still_waiting: true, ..Evidence::default() }
    }

    fn read(&self, _: &Subject, evidence: &mut Evidence, reading: Reading) {
        let stacks = if reading.stacks.is_some() { " stacks" } else { "" };
        let python = if reading.python { " python" } else { "" };
        self.note(&format!("read{python}{stacks}"));
        evidence.native = reading.stacks.map(|_| Box::new(NativeStacks::default()));
    }
}

fn subject() -> Subject {
    Subject {
        task: Task { pid: 1, tid: 2, comm: "a".into() },
        wait: Wait::default(),
        shared_with: Vec::new(),
        waiters: Waiters::Seen(Vec::new()),
        fork_unseen: false,
        locks: None,
        blocked: None,
    }
}

fn stacks() -> Need {
    Need::Stacks(Box::default())
}

/// Acquires evidence with these answers of the triage. What was asked of the probe, and the event.
fn acquired(answers: Vec<Need>) -> (Vec<String>, Event) {
    let fake = Fake::default();
    let mut answers = answers.into_iter();
    let mut acquisition = Acquisition::new(subject());
    for _ in 0..9 {
        acquisition = acquisition.advance(&fake);
        acquisition = acquisition.decide(5, |_, _| answers.next().unwrap());
        if acquisition.reading().is_none() {
            assert!(answers.next().is_none(), "it was not asked again");
            return (fake.asked(), acquisition.finish(9).unwrap());
        }
    }
    panic!("it does not come to an end");
}

#[test]
fn what_needs_no_more_is_done_after_its_sample() {
    let (asked, event) = acquired(vec![Need::Nothing]);
    assert_eq!(asked, ["place", "sample 7"]);
    assert_eq!((event.boot_ns, event.task.unwrap().comm.as_str()), (9, "renamed"));
}

#[test]
fn stacks_and_python_are_read_at_once_and_end_it() {
    let (asked, event) = acquired(vec![stacks()]);
    assert_eq!(asked, ["place", "sample 7", "read python stacks"]);
    assert!(matches!(event.body, Body::Evidence(evidence) if evidence.native.is_some()));
}

#[test]
fn python_alone_leads_to_one_more_triage() {
    let (asked, _) = acquired(vec![Need::Python, Need::Nothing]);
    assert_eq!(asked, ["place", "sample 7", "read python"]);
    let (asked, _) = acquired(vec![Need::Python, stacks()]);
    assert_eq!(asked, ["place", "sample 7", "read python", "read stacks"]);
}

#[test]
fn python_is_read_once_whatever_is_asked_for() {
    let (asked, _) = acquired(vec![Need::Python, Need::Python]);
    assert_eq!(asked, ["place", "sample 7", "read python"]);
}

#[test]
fn triage_is_told_whether_python_was_read() {
    let fake = Fake::default();
    let first = Acquisition::new(subject()).advance(&fake).decide(5, |event, read| {
        assert_eq!((event.boot_ns, read), (5, false));
        Need::Python
    });
    let mut first = first;
    first.set_python_read_ns(Some(4));
    first.advance(&fake).decide(6, |event, read| {
        let Body::Evidence(evidence) = &event.body else { panic!("no evidence") };
        assert_eq!((read, evidence.python_read_ns), (true, Some(4)));
        Need::Nothing
    });
}

#[test]
fn what_is_not_done_is_no_event() {
    assert!(Acquisition::new(subject()).finish(1).is_none());
}

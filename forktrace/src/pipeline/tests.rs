//! What reaches a sink, and in which order.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use forktrace_log::{Input, LineKind, Reader};
use forktrace_model::{
    finding::Finding,
    triage::{Need, triage},
};

use super::{filter::Filter, *};

/// A recorded run of a server, with findings.
static LOG: &[u8] = include_bytes!("../../tests/golden/prefork.jsonl");

/// Notes what it gets.
#[derive(Debug, Default)]
struct Spy {
    got: Vec<String>,
    fails: bool,
}

impl Sink for Spy {
    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        if self.fails {
            return Err(io::ErrorKind::StorageFull.into());
        }
        assert!(at.step.identity.is_none(), "nobody asked for it");
        self.got.push(at.event.body.type_name().into());
        Ok(())
    }

    fn finding(&mut self, finding: &Finding, at: &At<'_>) -> io::Result<()> {
        assert!(at.follow.model().live(finding.subject.pid).is_some());
        self.got.push("finding".into());
        Ok(())
    }

    fn settled(&mut self, _: &Follow) -> io::Result<()> {
        self.got.push("settled".into());
        Ok(())
    }
}

fn log() -> (Vec<Event>, Vec<u32>) {
    let (mut events, mut findings) = (Vec::new(), Vec::new());
    for line in Reader::new(Input::new(LOG).unwrap()) {
        match line.unwrap().kind {
            LineKind::Event(event) => events.push(event),
            LineKind::Finding(finding) => findings.push(finding.pid),
            LineKind::Unknown { .. } => panic!("a golden log has no such line"),
        }
    }
    (events, findings)
}

fn run(filter: Option<Filter>) -> Pipeline<Spy> {
    run_part(filter, &log().0)
}

fn run_part(filter: Option<Filter>, events: &[Event]) -> Pipeline<Spy> {
    let narrowed = filter.map(Narrowed::new);
    let mut pipeline = Pipeline::new(Follow::default(), Spy::default()).narrowed(narrowed);
    for event in events {
        pipeline.event(event).unwrap();
    }
    pipeline
}

#[test]
fn a_finding_follows_its_evidence_and_is_the_one_that_was_recorded() {
    let pipeline = run(None);
    let (events, recorded) = log();
    let of = |kind: &str| pipeline.sink.got.iter().filter(|got| *got == kind).count();
    assert_eq!((of("settled"), of("finding")), (events.len(), recorded.len()));
    let got = &pipeline.sink.got;
    let before = got.windows(2).filter(|pair| pair[1] == "finding").map(|pair| &pair[0]);
    assert!(before.into_iter().all(|kind| kind == "evidence"), "{got:?}");
    let found: Vec<u32> =
        pipeline.judge().findings().iter().map(|judged| judged.finding.subject.pid).collect();
    assert!(!found.is_empty() && found.iter().all(|pid| recorded.contains(pid)));
}

#[test]
fn what_a_filter_leaves_out_is_known_but_not_judged() {
    let nobody = Filter { uids: vec![u32::MAX], ..Filter::default() };
    let pipeline = run(Some(nobody));
    assert!(pipeline.judge().findings().is_empty() && pipeline.model().seen() == 0);
    assert!(pipeline.everything().seen() > 0);
    assert!(matches!(pipeline.nothing_fitted(), Some(Caveat::NothingFitted { .. })));
    assert_eq!(run(None).nothing_fitted(), None);
}

#[test]
fn a_filter_may_be_replaced_while_events_come() {
    let nobody = || Filter { uids: vec![u32::MAX], ..Filter::default() };
    let events = log().0;
    let half = events.len() / 2;
    let findings =
        |pipeline: &Pipeline<Spy>| pipeline.sink.got.iter().filter(|got| *got == "finding").count();
    // What is asked for later is judged from there on, with all that is known of it.
    let mut pipeline = run_part(Some(nobody()), &events[..half]);
    assert_eq!(pipeline.model().live_count(), 0);
    pipeline.set_filter(None, 1).unwrap();
    assert_eq!(pipeline.model().live_count(), pipeline.everything().live_count());
    for event in &events[half..] {
        pipeline.event(event).unwrap();
    }
    assert!(findings(&pipeline) > 0);
    // What is not asked for any more is followed, and not reported.
    let mut pipeline = run_part(None, &events[..half]);
    let before = findings(&pipeline);
    pipeline.set_filter(Some(nobody()), 1).unwrap();
    for event in &events[half..] {
        pipeline.event(event).unwrap();
    }
    assert_eq!(findings(&pipeline), before);
    assert_eq!(pipeline.model().live_count(), run(None).model().live_count());
}

#[test]
fn a_sink_that_fails_ends_it() {
    let mut pipeline = Pipeline::new(Follow::default(), Spy { fails: true, ..Spy::default() });
    assert!(log().0.iter().any(|event| pipeline.event(event).is_err()));
}

#[test]
fn stacks_are_read_once_for_what_becomes_a_finding() {
    let mut model = Model::default();
    let mut asked = 0;
    for event in log().0 {
        model.apply(&event);
        let Body::Evidence(evidence) = &event.body else { continue };
        assert_eq!(triage(&event, true, &model), Need::Nothing, "everything was read");
        let mut sampled = evidence.clone();
        sampled.native = None;
        let sampled = Event { body: Body::Evidence(sampled), ..event.clone() };
        let Need::Stacks(plan) = triage(&sampled, false, &model) else { continue };
        assert!(plan.lock != 0 && plan.parent.is_some());
        asked += 1;
    }
    assert_eq!(asked, log().1.len());
}

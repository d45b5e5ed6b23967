//! A service that is given a recorded log.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::{sync::Arc, time::Duration};

use forktrace_log::{Input, LineKind, Reader};
use forktrace_model::{event::Event, finding::Confidence};
use serde_json::Value;

use super::{
    journal::{Format, Journal},
    metrics::{Label, Shape},
    open::is_open,
    throttle::Limits,
    *,
};
use crate::pipeline::{Follow, Pipeline};

static LOG: &[u8] = include_bytes!("../../tests/golden/prefork.jsonl");

fn events() -> Vec<Event> {
    let lines = Reader::new(Input::new(LOG).unwrap());
    let event = |line: LineKind| match line {
        LineKind::Event(event) => Some(event),
        _ => None,
    };
    lines.filter_map(|line| event(line.unwrap().kind)).collect()
}

fn settings(suspects: bool) -> Settings {
    Settings {
        suspects,
        limits: Limits { repeat: Duration::from_secs(3600), per_minute: 60 },
        shape: Shape {
            labels: vec![Label::Executable],
            most_values: 50,
            ttl: Duration::from_secs(3600),
        },
        memory_limit: 1 << 40,
    }
}

fn service() -> Pipeline<Service> {
    let journal = Journal::start(Format::Json).unwrap();
    let service = Service::new(settings(false), Vec::new(), journal, 0);
    Pipeline::new(Follow::default(), service)
}

/// The pids of the findings that are shown.
fn shown(pipeline: &Pipeline<Service>) -> Vec<u64> {
    let json: Value = serde_json::from_str(&pipeline.sink.board().findings()).unwrap();
    let findings = json["findings"].as_array().unwrap();
    let mut pids: Vec<u64> =
        findings.iter().map(|one| one["finding"]["pid"].as_u64().unwrap()).collect();
    pids.sort_unstable();
    pids
}

fn standing(pipeline: &Pipeline<Service>) -> Vec<u64> {
    let findings = pipeline.judge().findings().iter();
    let open = findings.filter(|judged| is_open(judged, pipeline.model()));
    let sure = open.filter(|judged| judged.finding.confidence > Confidence::Suspect);
    let mut pids: Vec<u64> = sure.map(|judged| judged.finding.subject.pid.into()).collect();
    pids.sort_unstable();
    pids
}

#[test]
fn what_stands_is_shown_at_every_moment() {
    let mut pipeline = service();
    let mut most = 0;
    for event in events() {
        pipeline.event(&event).unwrap();
        let (sink, follow, _) = pipeline.parts();
        crate::pipeline::Sink::end(sink, follow).unwrap();
        let (shown, standing) = (shown(&pipeline), standing(&pipeline));
        // What was released a moment ago may be being killed, and stays for that long.
        let released = |pid: &u64| {
            let mut findings = pipeline.judge().findings().iter();
            findings.any(|one| {
                u64::from(one.finding.subject.pid) == *pid && one.ended_after_ns.is_some()
            })
        };
        assert!(standing.iter().all(|pid| shown.contains(pid)), "{shown:?} after {event:?}");
        assert!(
            shown.iter().all(|pid| standing.contains(pid) || released(pid)),
            "{shown:?} instead of {standing:?} after {event:?}"
        );
        most = most.max(shown.len());
    }
    assert!(most > 0, "there are findings in it");
    let text = pipeline.sink.board().metrics(metrics::Format::OpenMetrics).unwrap();
    assert!(text.contains("forktrace_waits_judged_total{verdict=\"finding\"}"), "{text}");
}

#[test]
fn what_a_new_filter_leaves_out_is_shown_again_when_it_is_gone() {
    let mut pipeline = service();
    for event in events() {
        pipeline.event(&event).unwrap();
        if !standing(&pipeline).is_empty() {
            break;
        }
    }
    let mut reload = |leaves_out: bool| {
        let (sink, follow, _) = pipeline.parts();
        sink.reload(settings(false), follow, |_| leaves_out);
        crate::pipeline::Sink::tick(sink, follow).unwrap();
        shown(&pipeline).len()
    };
    assert_eq!((reload(true), reload(false) > 0), (0, true));
}

#[test]
fn counters_of_a_queue_go_on() {
    let counts = Arc::new(queue::Counts::default());
    let work = |taker: queue::Taker<u32>| {
        while taker.take().is_some() {
            taker.done(1, true);
        }
    };
    for _ in 0..2 {
        let queue = queue::Queue::start("test", 8, Arc::clone(&counts), work).unwrap();
        (0..3).for_each(|item| queue.put(item));
    }
    let began = std::time::Instant::now();
    while queue::Counts::get(&counts.sent) < 6 && began.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (sent, queued) = (queue::Counts::get(&counts.sent), queue::Counts::get(&counts.queued));
    assert_eq!((sent, queued), (6, 0));
}

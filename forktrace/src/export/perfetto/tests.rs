#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::{HashMap, HashSet};

use super::*;
use crate::export::{TimelineBuilder, timeline::LogEnd};
use forktrace_log::{LineKind, Reader};
use forktrace_model::event::{Body, Event, FutexWait, ProcessFork, Task, Wait};

fn golden() -> Timeline {
    let log = include_bytes!("../../../tests/golden/prefork.jsonl").as_slice();
    let mut teller = TimelineBuilder::pipeline();
    for line in Reader::new(log) {
        if let LineKind::Event(event) = line.unwrap().kind {
            teller.event(&event).unwrap();
        }
    }
    teller.finish(LogEnd::default())
}

fn decoded(story: &Timeline) -> Vec<TracePacket> {
    let mut bytes = Vec::new();
    write(&mut bytes, story, true).unwrap();
    Trace::decode(bytes.as_slice()).unwrap().packet
}

/// Checks what a viewer relies on. Gives how many slices have no end.
fn check(packets: &[TracePacket]) -> usize {
    let (mut tracks, mut open) = (HashSet::new(), HashMap::<u64, usize>::new());
    let (mut begun, mut ended) = (HashSet::new(), Vec::new());
    let (mut names, mut last) = (HashSet::new(), 0);
    for packet in packets {
        if let Some(track) = &packet.track_descriptor {
            assert!(tracks.insert(track.uuid.unwrap()), "a track is described twice");
            let parent = track.parent_uuid;
            assert!(parent.is_none_or(|parent| tracks.contains(&parent)), "parents come first");
        }
        for new in packet.interned_data.iter().flat_map(|data| &data.event_names) {
            assert!(names.insert(new.iid.unwrap()), "a name is defined twice");
        }
        let Some(event) = &packet.track_event else { continue };
        let at = packet.timestamp.unwrap();
        assert!(at >= last, "in the order of time");
        last = at;
        let track = event.track_uuid.unwrap();
        assert!(tracks.contains(&track), "described before it is used");
        assert!(event.name_iid.is_none_or(|name| names.contains(&name)));
        let open = open.entry(track).or_default();
        match event.r#type.unwrap() {
            SLICE_BEGIN => *open += 1,
            SLICE_END => *open = open.checked_sub(1).unwrap(),
            _ => {}
        }
        assert!(*open <= 1, "slices of a track do not overlap");
        begun.extend(&event.flow_ids);
        assert!(event.terminating_flow_ids.iter().all(|flow| begun.contains(flow)));
        ended.extend(event.terminating_flow_ids.clone());
    }
    let pairs: HashSet<_> = ended.iter().copied().collect();
    assert_eq!(pairs.len(), ended.len(), "a flow ends once");
    assert_eq!(pairs, begun, "every flow ends");
    open.values().sum()
}

#[test]
fn a_recorded_server_has_its_processes_flows_and_open_hangs() {
    let story = golden();
    let packets = decoded(&story);
    // 4 processes that still run, 3 hangs on their threads and the same on the findings' tracks.
    assert_eq!(check(&packets), 4 + 3 + 3);
    let flows = packets.iter().filter_map(|p| p.track_event.as_ref()).map(|e| e.flow_ids.len());
    assert_eq!(flows.sum::<usize>(), 6 + 3, "forks, and holder to waiter");
    let described = |packet: &&TracePacket| {
        packet.track_descriptor.as_ref().is_some_and(|track| track.process.is_some())
    };
    assert_eq!(packets.iter().filter(described).count(), 7);
    let clocks = packets[0].clock_snapshot.as_ref().unwrap();
    let [boot, real] = clocks.clocks.as_slice() else { panic!("two clocks") };
    let offset = story.trace.clock_offset_ns;
    assert_eq!(real.timestamp.unwrap(), boot.timestamp.unwrap().strict_add_signed(offset));
}

#[test]
fn tracks_have_the_same_numbers_in_every_export() {
    let tracks = || -> Vec<_> {
        let packets = decoded(&golden());
        packets.into_iter().filter_map(|packet| packet.track_descriptor?.uuid).collect()
    };
    assert_eq!(tracks(), tracks());
}

#[test]
fn a_log_that_cannot_be_true_still_gives_a_trace_that_nests() {
    let task = |pid| Some(Task { pid, tid: pid, comm: "\u{1b}x".into() });
    let wait = |at, pid, enter_ns, result| {
        let wait = Wait { enter_ns, ..Wait::default() };
        let body = Body::FutexWait(FutexWait { wait, result, over: false });
        Event { boot_ns: at, task: task(pid), body }
    };
    let fork = |at, pid, child_pid| {
        let body = Body::ProcessFork(ProcessFork { child_pid, clone_flags: 0 });
        Event { boot_ns: at, task: task(pid), body }
    };
    let events = [
        fork(100, 7, 7),
        fork(100, 7, 8),
        wait(90, 8, 200, Some(0)),
        wait(150, 8, 120, Some(0)),
        wait(40, 8, 10, None),
        fork(100, 8, 7),
        wait(u64::MAX, 7, u64::MAX, None),
        wait(5, 7, 0, Some(-4)),
        fork(0, u32::MAX, 0),
    ];
    let mut teller = TimelineBuilder::pipeline();
    for event in &events {
        teller.event(event).unwrap();
    }
    check(&decoded(&teller.finish(LogEnd::default())));
}

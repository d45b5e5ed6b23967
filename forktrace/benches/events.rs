//! What forktrace itself does for each event, in ns an event: from the bytes of the ring to the line
//! of the log, and back (`cargo bench -p forktrace`).

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros, and no input but our own"
)]

use std::{hint::black_box, io};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use forktrace_collect::{
    decode,
    reorder::{ReorderBuffer, Stamped},
};
use forktrace_common::record::{Exit, Fork, Header, Kind};
use forktrace_log::{Identity, LineKind, Reader, Writer};
use forktrace_model::{
    event::{Body, Event},
    hazards::{self},
    judge::Judge,
    model::Model,
};
use zerocopy::IntoBytes as _;

/// Children of one process, [`ALIVE`] at a time; each is forked and ends.
const CHILDREN: u32 = 5_000;
const ALIVE: u32 = 32;
const PARENT: u32 = 900;

/// A real run in which a child hangs on an inherited mutex.
const RECORDED: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/mutex_of_thread.jsonl"));

/// The records of such a run as two CPUs would write them.
fn records() -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for turn in 0..CHILDREN + ALIVE {
        if let Some(child) = turn.checked_sub(ALIVE) {
            let exit = Exit { group: Exit::GROUP_DEAD, ..Exit::default() };
            push(&mut records, Kind::Exit, 1000 + child, exit.as_bytes());
        }
        if turn < CHILDREN {
            let fork = Fork { clone_flags: 0x0120_0000, child_tid: 1000 + turn, reserved: 0 };
            push(&mut records, Kind::Fork, PARENT, fork.as_bytes());
        }
    }
    records
}

fn push(records: &mut Vec<Vec<u8>>, kind: Kind, task: u32, payload: &[u8]) {
    let number = records.len() as u64;
    let header = Header {
        kind: kind as u32,
        cpu: (number % 2) as u32,
        seq: number / 2 + 1,
        boot_ns: 1_000_000 + number * 10_000,
        tgid: task,
        tid: task,
        comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
    };
    records.push([header.as_bytes(), payload].concat());
}

fn stamped(records: &[Vec<u8>]) -> Vec<Stamped> {
    let records = records.iter().map(|bytes| decode::decode(bytes).unwrap());
    records
        .map(|record| Stamped { cpu: record.cpu, seq: record.seq, event: record.event })
        .collect()
}

fn written(events: &[Event]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), 0);
    for event in recorded().into_iter().take(1).chain(events.iter().cloned()) {
        writer.event(&event, Some(&identity())).unwrap();
    }
    writer.into_inner()
}

fn identity() -> Identity {
    let uid = |pid: u32| format!("b66d7b77-{pid}-7439170000000");
    Identity { proc_uid: uid(1000), ppid: Some(PARENT), parent_uid: Some(uid(PARENT)) }
}

fn recorded() -> Vec<Event> {
    let lines = Reader::new(RECORDED.as_bytes()).map(Result::unwrap);
    let events = lines.filter_map(|line| match line.kind {
        LineKind::Event(event) => Some(event),
        _ => None,
    });
    events.collect()
}

fn each_event(criterion: &mut Criterion) {
    let records = records();
    let stamped = stamped(&records);
    let events: Vec<Event> = stamped.iter().map(|stamped| stamped.event.clone()).collect();
    let log = written(&events);
    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Elements(events.len() as u64));
    group.bench_function("decode", |bench| {
        bench.iter(|| {
            records.iter().for_each(|bytes| drop(black_box(decode::decode(black_box(bytes)))))
        });
    });
    group.bench_function("order", |bench| {
        let order = |stamped: Vec<Stamped>| {
            let mut order = ReorderBuffer::new(20_000_000);
            for one in stamped {
                let now_ns = one.event.boot_ns;
                order.push(one);
                while let Some(event) = order.pop_ready(now_ns) {
                    black_box(event);
                }
            }
            order.flush()
        };
        bench.iter_batched(|| stamped.clone(), order, BatchSize::LargeInput);
    });
    group.bench_function("tree", |bench| {
        bench.iter_with_large_drop(|| {
            let mut model = Model::default();
            events.iter().for_each(|event| drop(black_box(model.apply(event))));
            model
        });
    });
    group.bench_function("write", |bench| {
        let identity = identity();
        bench.iter(|| {
            let mut writer = Writer::new(io::sink(), 0);
            events.iter().for_each(|event| writer.event(event, Some(&identity)).unwrap());
        });
    });
    group.bench_function("read", |bench| {
        bench.iter(|| Reader::new(log.as_slice()).filter(|line| black_box(line).is_ok()).count());
    });
    group.finish();
}

/// One sample of a child that hangs: rare, but each costs more.
fn evidence(criterion: &mut Criterion) {
    let mut model = Model::default();
    let mut events = recorded().into_iter().inspect(|event| drop(model.apply(event)));
    let event = events.find(|event| matches!(event.body, Body::Evidence(_))).unwrap();
    drop(events);
    let mut group = criterion.benchmark_group("evidence");
    group.bench_function("verdict", |bench| {
        bench.iter(|| hazards::judge(black_box(&event), &model));
    });
    group.bench_function("finding", |bench| {
        bench.iter_with_large_drop(|| {
            let mut judge = Judge::default();
            let outcome = judge.apply(black_box(&event), &model);
            assert!(outcome.is_some());
            judge
        });
    });
    group.bench_function("write", |bench| {
        let identity = identity();
        let mut writer = Writer::new(io::sink(), 0);
        bench.iter(|| writer.event(black_box(&event), Some(&identity)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, each_event, evidence);
criterion_main!(benches);

//! Threads that use a CPU all the time and stay in a few instructions: they may spin for what can no
//! longer come. They are named, not judged: a computation looks the same.

use std::{thread::sleep, time::Duration};

use forktrace_model::{
    event::{Body, Doing, Event, Task, Unjudged, UnjudgedWait, stacks::Frame},
    model::ProcId,
};

use crate::{
    inspect::{stall::look, symbol, threads},
    kernel::Visitor,
};

/// How many instructions are read, and the time between two tries.
const SAMPLES: usize = 12;
const APART: Duration = Duration::from_millis(12);
/// Most tries.
const MOST_TRIES: usize = 100;
/// CPU time in which the clock has ticked, ns: that saves the registers of what runs (`CONFIG_HZ` of 250
/// or more; at 100 it takes some of two tries).
const TICK_NS: u64 = 4_000_000;

/// How many bytes of code a loop has that only waits.
const LOOP: u64 = 512;

/// Most threads that are sampled.
const MOST: usize = 16;

/// The events that name those of these threads that stay in one loop: process, pid, thread, since when
/// (`CLOCK_BOOTTIME`, ns).
pub(super) fn events(
    busy: impl Iterator<Item = (ProcId, u32, u32, u64)>,
    registers: &Visitor,
    now_ns: u64,
) -> Vec<Event> {
    let event = |(_, pid, tid, since_ns): (ProcId, u32, u32, u64)| {
        let address = looping(registers, pid, tid)?;
        let (module, symbol) = symbol::function_at(pid, address).unzip();
        let frame = Frame { address, module, symbol: symbol.flatten(), ..Frame::default() };
        let comm = threads::name(pid, tid)?;
        let wait = UnjudgedWait {
            doing: Doing::Running,
            since_ns,
            why: Unjudged::Busy,
            frame: Some(frame),
            python: None,
        };
        let body = Body::WaitUnjudged(Box::new(wait));
        Some(Event { boot_ns: now_ns, task: Some(Task { pid, tid, comm }), body })
    };
    busy.take(MOST).filter_map(event).collect()
}

/// An instruction of the loop that a thread stays in; `None`: it gets about, or cannot be looked at.
///
/// Whoever runs was last in the kernel at the latest tick, and its registers are those of that time. On a
/// busy host it may not have run since: then there is nothing new to see.
fn looping(registers: &Visitor, pid: u32, tid: u32) -> Option<u64> {
    let mut seen = Vec::with_capacity(SAMPLES);
    let mut ran_ns = look::cpu_ns(pid, tid)?;
    for _ in 0..MOST_TRIES {
        sleep(APART);
        let now_ns = look::cpu_ns(pid, tid)?;
        if now_ns < ran_ns.saturating_add(TICK_NS) {
            continue;
        }
        ran_ns = now_ns;
        match registers.candidates(tid).ok()?.as_slice() {
            [one] => seen.push(one.ip),
            // This kernel does not say whose registers are whose.
            _ => return None,
        }
        if seen.len() == SAMPLES {
            let (least, most) = (seen.iter().min()?, seen.iter().max()?);
            return (most - least <= LOOP && *least != 0).then_some(*least);
        }
    }
    None
}

//! Threads that use a CPU all the time and stay in a few instructions: they may spin for what can no
//! longer come. They are named, not judged: a computation looks the same.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use forktrace_model::event::{Body, Doing, Event, Task, Unjudged, UnjudgedWait, stacks::Frame};

use super::steady::Steady;
use crate::{
    inspect::{stall::look, symbol, threads},
    kernel::Visitor,
};

/// How many instructions are read, and the time between two tries.
const SAMPLES: usize = 12;
const APART: Duration = Duration::from_millis(12);
/// How long they are tried for, and how many say enough then: on a busy host a thread rarely runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    time: Duration,
    least: usize,
}

/// As long as the trace goes on.
pub(super) const PATIENCE: Patience = Patience { time: Duration::from_secs(5), least: SAMPLES };
/// When it ends: who was met in one loop a few times, and nowhere else, is named rather than passed over.
pub(super) const LITTLE_PATIENCE: Patience = Patience { time: Duration::from_secs(1), least: 4 };
/// CPU time in which the clock has ticked, ns: that saves the registers of what runs (`CONFIG_HZ` of 250
/// or more; at 100 it takes some of two tries).
const TICK_NS: u64 = 4_000_000;

/// How many bytes of code a loop has that only waits.
const LOOP: u64 = 512;

/// Samples threads, for so long at most. The event of one names the loop that it stays in.
pub(super) fn sampled(
    busy: Vec<Steady>,
    registers: &Visitor,
    patience: Patience,
) -> Vec<(Steady, Option<Event>)> {
    let began = Instant::now();
    let mut watched: Vec<(Steady, Instructions)> =
        busy.into_iter().map(|one| (one, Instructions::new(&one))).collect();
    while began.elapsed() < patience.time && watched.iter().any(|(_, seen)| seen.wants_more()) {
        sleep(APART);
        for (one, seen) in &mut watched {
            seen.look(one, registers);
        }
    }
    watched.into_iter().map(|(one, seen)| (one, event(&one, seen.place(patience.least)))).collect()
}

fn event(busy: &Steady, address: Option<u64>) -> Option<Event> {
    let Steady { pid, tid, since_ns, .. } = *busy;
    let address = address?;
    let (module, symbol) = symbol::function_at(pid, address).unzip();
    let frame = Frame { address, module, symbol: symbol.flatten(), ..Frame::default() };
    let comm = threads::name(pid, tid)?;
    let wait = UnjudgedWait {
        doing: Doing::Running,
        since_ns,
        why: Unjudged::Busy,
        frame: Some(frame),
        ..UnjudgedWait::default()
    };
    let body = Body::WaitUnjudged(Box::new(wait));
    Some(Event { boot_ns: 0, task: Some(Task { pid, tid, comm }), body })
}

/// The instructions that a thread was met at.
#[derive(Debug)]
struct Instructions {
    seen: Vec<u64>,
    /// CPU time that it had taken at the latest one, ns; `None`: it cannot be looked at.
    ran_ns: Option<u64>,
}

impl Instructions {
    fn new(busy: &Steady) -> Self {
        Instructions { seen: Vec::new(), ran_ns: look::cpu_ns(busy.pid, busy.tid) }
    }

    /// Whether more samples could tell more.
    fn wants_more(&self) -> bool {
        self.ran_ns.is_some() && self.seen.len() < SAMPLES && self.is_small()
    }

    /// Whoever runs was last in the kernel at the latest tick, and its registers are those of that time.
    /// On a busy host it may not have run since: then there is nothing new to see.
    fn look(&mut self, busy: &Steady, registers: &Visitor) {
        let (true, Some(ran_ns)) = (self.wants_more(), self.ran_ns) else { return };
        let now_ns = look::cpu_ns(busy.pid, busy.tid);
        if now_ns.is_some_and(|now_ns| now_ns < ran_ns.saturating_add(TICK_NS)) {
            return;
        }
        // More than one: this kernel does not say whose registers are whose.
        let one = match registers.candidates(busy.tid).as_deref() {
            Ok([one]) => Some(one.ip),
            _ => None,
        };
        self.ran_ns = now_ns.filter(|_| one.is_some());
        self.seen.extend(one);
    }

    /// Whether all that was seen fits in a loop.
    fn is_small(&self) -> bool {
        match (self.seen.iter().min(), self.seen.iter().max()) {
            (Some(least), Some(most)) => most - least <= LOOP && *least != 0,
            _ => true,
        }
    }

    /// An instruction of the loop that the thread stays in, by at least so many; `None`: it gets about, or cannot
    /// be looked at.
    fn place(&self, least: usize) -> Option<u64> {
        self.seen.first().copied().filter(|_| self.seen.len() >= least && self.is_small())
    }
}

//! Threads that use a CPU all the time and stay in a few instructions: they may spin for what can no
//! longer come. They are named, not judged: a computation looks the same.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use forktrace_model::{
    event::{Body, Doing, Event, Task, Unjudged, UnjudgedWait, stacks::Frame},
    model::ProcId,
};
use rustc_hash::FxHashMap;

use crate::{
    inspect::{stall::look, symbol, threads},
    kernel::Visitor,
};

/// How many instructions are read, and the time between two tries.
const SAMPLES: usize = 12;
const APART: Duration = Duration::from_millis(12);
/// How long they are tried for: on a busy host a thread rarely runs.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// The same when the trace ends.
pub(super) const LITTLE_PATIENCE: Duration = Duration::from_secs(1);
/// CPU time in which the clock has ticked, ns: that saves the registers of what runs (`CONFIG_HZ` of 250
/// or more; at 100 it takes some of two tries).
const TICK_NS: u64 = 4_000_000;

/// How many bytes of code a loop has that only waits.
const LOOP: u64 = 512;

/// Most threads that are sampled at a time.
const MOST: usize = 16;

/// A thread that has been busy, or has polled, for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Busy {
    pub(super) id: ProcId,
    pub(super) pid: u32,
    pub(super) tid: u32,
    /// Since when, `CLOCK_BOOTTIME`, ns.
    pub(super) since_ns: u64,
}

/// What was told of such threads, and which were sampled when.
#[derive(Debug, Default)]
pub(super) struct Told {
    threads: FxHashMap<(ProcId, u32), Tried>,
    /// They are being sampled.
    pub(super) sampling: bool,
    /// What was told of one may turn out to be wrong while it goes on: it is sampled again.
    again: bool,
}

/// A thread that was sampled.
#[derive(Clone, Debug)]
struct Tried {
    since_ns: u64,
    /// When it is sampled again if it did not stay in a loop, `CLOCK_BOOTTIME`, ns.
    again_ns: u64,
    /// What was told of it.
    told: Option<Event>,
}

impl Told {
    /// Of threads that are sampled again while what was told of them goes on.
    pub(super) fn again() -> Self {
        Told { again: true, ..Told::default() }
    }

    /// Those of the busy threads that are to be sampled now.
    pub(super) fn due(&self, busy: &[Busy], now_ns: u64) -> Vec<Busy> {
        let due = |one: &&Busy| {
            self.threads.get(&(one.id, one.tid)).is_none_or(|tried| {
                let open = self.again || tried.told.is_none();
                tried.since_ns != one.since_ns || (open && tried.again_ns <= now_ns)
            })
        };
        busy.iter().filter(due).take(MOST).copied().collect()
    }

    /// Takes what was found of sampled threads; returns what is to be told. `still`: who is as it was when
    /// they were sampled; of others nothing is told.
    pub(super) fn take(
        &mut self,
        sampled: Vec<(Busy, Option<Event>)>,
        still: impl Iterator<Item = Busy>,
        now_ns: u64,
    ) -> Vec<Event> {
        self.sampling = false;
        let still: Vec<Busy> = still.collect();
        let mut events = Vec::new();
        for (busy, event) in sampled.into_iter().filter(|(busy, _)| still.contains(busy)) {
            let age_ns = now_ns.saturating_sub(busy.since_ns);
            let again_ns = now_ns.saturating_add(age_ns);
            let told = event.map(|event| Event { boot_ns: now_ns, ..event });
            let before = self.threads.remove(&(busy.id, busy.tid)).and_then(|tried| tried.told);
            match (before, &told) {
                (None, told) => events.extend(told.clone()),
                (Some(before), None) => events.push(over(before, now_ns)),
                (Some(_), Some(_)) => {}
            }
            let tried = Tried { since_ns: busy.since_ns, again_ns, told };
            self.threads.insert((busy.id, busy.tid), tried);
        }
        events
    }

    /// What was told of threads that do something else by now is taken back. `since_ns`: since when a thread
    /// that lives is busy, `CLOCK_BOOTTIME`, ns. Of one that has ended its end tells.
    pub(super) fn over(
        &mut self,
        since_ns: impl Fn(ProcId, u32) -> Option<Option<u64>>,
        now_ns: u64,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        self.threads.retain(|(id, tid), tried| {
            let goes_on =
                since_ns(*id, *tid).is_none_or(|since_ns| since_ns == Some(tried.since_ns));
            if !goes_on && let Some(event) = tried.told.take() {
                events.push(over(event, now_ns));
            }
            goes_on
        });
        events
    }

    /// A process has ended: what was told of it stays.
    pub(super) fn forget(&mut self, id: ProcId) {
        self.threads.retain(|(process, _), _| *process != id);
    }
}

/// What takes an event back.
fn over(mut event: Event, now_ns: u64) -> Event {
    event.boot_ns = now_ns;
    if let Body::WaitUnjudged(wait) = &mut event.body {
        wait.over = true;
    }
    event
}

/// Samples threads, for so long at most. The event of one names the loop that it stays in.
pub(super) fn sampled(
    busy: Vec<Busy>,
    registers: &Visitor,
    patience: Duration,
) -> Vec<(Busy, Option<Event>)> {
    let began = Instant::now();
    let mut watched: Vec<(Busy, Instructions)> =
        busy.into_iter().map(|one| (one, Instructions::new(&one))).collect();
    while began.elapsed() < patience && watched.iter().any(|(_, seen)| seen.wants_more()) {
        sleep(APART);
        for (one, seen) in &mut watched {
            seen.look(one, registers);
        }
    }
    watched.into_iter().map(|(one, seen)| (one, event(&one, seen.place()))).collect()
}

fn event(busy: &Busy, address: Option<u64>) -> Option<Event> {
    let Busy { pid, tid, since_ns, .. } = *busy;
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
    fn new(busy: &Busy) -> Self {
        Instructions { seen: Vec::new(), ran_ns: look::cpu_ns(busy.pid, busy.tid) }
    }

    /// Whether more samples could tell more.
    fn wants_more(&self) -> bool {
        self.ran_ns.is_some() && self.seen.len() < SAMPLES && self.is_small()
    }

    /// Whoever runs was last in the kernel at the latest tick, and its registers are those of that time.
    /// On a busy host it may not have run since: then there is nothing new to see.
    fn look(&mut self, busy: &Busy, registers: &Visitor) {
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

    /// An instruction of the loop that the thread stays in; `None`: it gets about, or cannot be looked at.
    fn place(&self) -> Option<u64> {
        self.seen.first().copied().filter(|_| self.seen.len() == SAMPLES && self.is_small())
    }
}

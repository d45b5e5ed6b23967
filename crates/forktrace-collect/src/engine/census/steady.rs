//! Threads that do the same all the time, use a CPU or poll: which of them were sampled when, and what was told
//! of them. That is taken back when one does something else.

use forktrace_model::{
    event::{Body, Event},
    model::ProcId,
};
use rustc_hash::FxHashMap;

/// Most threads of one sort that are sampled at a time.
const MOST: usize = 16;

/// A thread that has done the same for long: it uses a CPU, or polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Steady {
    pub(super) id: ProcId,
    pub(super) pid: u32,
    pub(super) tid: u32,
    /// Since when, `CLOCK_BOOTTIME`, ns.
    pub(super) since_ns: u64,
}

/// What was told of threads of one sort, and which were sampled when.
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

    /// Those of the threads that are to be sampled now.
    pub(super) fn due(&self, steady: &[Steady], now_ns: u64) -> Vec<Steady> {
        let due = |one: &&Steady| {
            self.threads.get(&(one.id, one.tid)).is_none_or(|tried| {
                let open = self.again || tried.told.is_none();
                tried.since_ns != one.since_ns || (open && tried.again_ns <= now_ns)
            })
        };
        steady.iter().filter(due).take(MOST).copied().collect()
    }

    /// Takes what was found of sampled threads; returns what is to be told. `still`: who is as it was when
    /// they were sampled; of others nothing is told.
    pub(super) fn take(
        &mut self,
        sampled: Vec<(Steady, Option<Event>)>,
        still: impl Iterator<Item = Steady>,
        now_ns: u64,
    ) -> Vec<Event> {
        self.sampling = false;
        let still: Vec<Steady> = still.collect();
        let mut events = Vec::new();
        for (one, event) in sampled.into_iter().filter(|(one, _)| still.contains(one)) {
            let age_ns = now_ns.saturating_sub(one.since_ns);
            let again_ns = now_ns.saturating_add(age_ns);
            let told = event.map(|event| Event { boot_ns: now_ns, ..event });
            let before = self.threads.remove(&(one.id, one.tid)).and_then(|tried| tried.told);
            match (before, &told) {
                (None, told) => events.extend(told.clone()),
                (Some(before), None) => events.push(over(before, now_ns)),
                (Some(_), Some(_)) => {}
            }
            let tried = Tried { since_ns: one.since_ns, again_ns, told };
            self.threads.insert((one.id, one.tid), tried);
        }
        events
    }

    /// What was told of threads that do something else by now is taken back. `since_ns`: since when a thread
    /// that lives does the same, `CLOCK_BOOTTIME`, ns. Of one that has ended its end tells.
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

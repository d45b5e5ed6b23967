//! Random number generators that a fork copied: each forked process is searched now and then, in the
//! background, for generators that it has drawn from since.
//!
//! A process is searched alone ([`probe`]). Who else has drawn from the same inherited state is known from
//! here ([`Families`]): its parent, which is read with it, and the parent's other children, which were
//! searched before; also those that have ended since. Once there is somebody, it becomes a `generators`
//! event.

mod families;
mod probe;

use std::{sync::Arc, time::Duration};

use forktrace_model::{
    event::{Body, Event, Task},
    model::{Model, ProcId, Process},
};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::{sync::mpsc, task::spawn_blocking};

pub(super) use self::probe::Searched;
use self::{families::Families, probe::Subject};
use crate::kernel::ForkRecords;

/// When a process is first searched, since its fork, ns.
const FIRST_NS: u64 = 50_000_000;
/// The next time is when it is older by this factor, in halves, and at the latest after [`LONGEST_NS`].
const FACTOR_HALVES: u64 = 5;
/// Longest time from one search to the next, ns.
const LONGEST_NS: u64 = 60_000_000_000;
/// Between two searches is at least so many times what the earlier one took.
const REST: u64 = 199;
/// Most processes that are searched in one go.
const MOST_AT_ONCE: usize = 16;
/// Most processes that are searched when tracing ends, and how long that may take.
const MOST_AT_END: usize = 64;
const END: Duration = Duration::from_millis(500);

/// Searches forked processes.
#[derive(Debug)]
pub(super) struct Generators {
    sender: mpsc::UnboundedSender<Vec<Searched>>,
    receiver: mpsc::UnboundedReceiver<Vec<Searched>>,
    due: FxHashMap<ProcId, u64>,
    families: Families,
    busy: bool,
}

impl Generators {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (due, families) = (FxHashMap::default(), Families::default());
        Generators { sender, receiver, due, families, busy: false }
    }

    /// What comes back next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Vec<Searched> {
        match self.receiver.recv().await {
            Some(searched) => searched,
            // Cannot be: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    /// When something is due next, `CLOCK_BOOTTIME`, ns.
    pub(super) fn due_ns(&self) -> Option<u64> {
        if self.busy { None } else { self.due.values().min().copied() }
    }

    /// Begins what is due, in the background.
    pub(super) fn begin(&mut self, records: &Arc<ForkRecords>, model: &Model, now_ns: u64) {
        if self.busy || !records.keeps_pages() {
            return;
        }
        let subjects = self.subjects(model, now_ns, MOST_AT_ONCE);
        if subjects.is_empty() {
            return;
        }
        self.busy = true;
        let (sender, records) = (self.sender.clone(), Arc::clone(records));
        spawn_blocking(move || {
            let searched =
                subjects.into_iter().map(|subject| probe::search(&records, subject)).collect();
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(searched);
        });
    }

    /// The processes that are to be searched now; they will not be so again until their time has come.
    fn subjects(&mut self, model: &Model, now_ns: u64, most: usize) -> Vec<Subject> {
        let forked: Vec<&Process> =
            model.living().filter(|process| process.inherited().is_some()).collect();
        let ids: FxHashSet<ProcId> = forked.iter().map(|process| process.id).collect();
        self.due.retain(|id, _| ids.contains(id));
        for process in &forked {
            let fork_ns = process.inherited().map_or(now_ns, |fork| fork.boot_ns);
            self.due.entry(process.id).or_insert(fork_ns.saturating_add(FIRST_NS));
        }
        let is_due =
            |process: &&&Process| self.due.get(&process.id).is_some_and(|due| *due <= now_ns);
        let due: Vec<&Process> = forked.iter().filter(is_due).take(most).copied().collect();
        let subjects: Vec<Subject> =
            due.into_iter().filter_map(|process| Subject::of(process, model)).collect();
        for subject in &subjects {
            let age = now_ns.saturating_sub(subject.fork_ns);
            let wait = (age.saturating_mul(FACTOR_HALVES) / 2).saturating_sub(age).min(LONGEST_NS);
            self.due.insert(subject.id, now_ns.saturating_add(wait.max(FIRST_NS)));
        }
        subjects
    }

    /// Takes what has come back. Returns the events that come of it.
    pub(super) fn take(&mut self, all: Vec<Searched>, now_ns: u64) -> Vec<Event> {
        self.busy = false;
        for searched in &all {
            let rest = now_ns.saturating_add(searched.took_ns.saturating_mul(REST));
            if let Some(due) = self.due.get_mut(&searched.subject.id) {
                *due = (*due).max(rest);
            }
        }
        // Everybody first: of two that were searched together each is told of the other.
        for searched in &all {
            self.families.learn(searched);
        }
        all.into_iter().filter_map(|searched| self.event(&searched)).collect()
    }

    fn event(&mut self, searched: &Searched) -> Option<Event> {
        let found = self.families.shared(searched)?;
        let subject = &searched.subject;
        let task = Task { pid: subject.pid, tid: subject.pid, comm: subject.comm.clone() };
        Some(Event {
            boot_ns: searched.began_ns,
            task: Some(task),
            body: Body::Generators(Box::new(found)),
        })
    }

    /// Searches everybody once more, now: nobody is searched later any more.
    pub(super) fn finish(
        &mut self,
        records: &ForkRecords,
        model: &Model,
        now_ns: u64,
    ) -> Vec<Event> {
        if !records.keeps_pages() {
            return Vec::new();
        }
        self.due.clear();
        let began = std::time::Instant::now();
        let subjects = self.subjects(model, u64::MAX, MOST_AT_END);
        let in_time = subjects.into_iter().take_while(|_| began.elapsed() < END);
        let searched = in_time.map(|subject| probe::search(records, subject)).collect();
        self.take(searched, now_ns)
    }

    /// A process has ended.
    pub(super) fn forget(&mut self, id: ProcId) {
        self.due.remove(&id);
        self.families.ended(id);
    }
}

//! Acquisitions under way: how many at the same time, and which is next.

use std::{collections::VecDeque, sync::Arc};

use forktrace_model::{
    event::{Event, Task},
    model::{Model, ProcId},
    triage::triage,
};
use rustc_hash::FxHashMap;
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    task::spawn_blocking,
};

use super::{Acquisition, Probe, Subject};

/// How many waits are sampled at the same time: mostly that is waiting.
const SAMPLES_AT_ONCE: usize = 32;
/// For how many of them stacks are read at the same time. That may take seconds, and other waits are
/// sampled meanwhile.
const READS_AT_ONCE: usize = 8;

/// The acquisitions under way.
pub(in crate::engine) struct Acquisitions {
    probe: Arc<dyn Probe>,
    sampling: usize,
    reading: usize,
    /// Those for which more is to be read.
    to_read: VecDeque<Acquisition>,
    /// When the Python side of a process was first read, `CLOCK_BOOTTIME`, ns.
    python_reads: FxHashMap<ProcId, u64>,
    sender: UnboundedSender<Acquisition>,
    receiver: UnboundedReceiver<Acquisition>,
}

impl Acquisitions {
    pub(in crate::engine) fn new(probe: impl Probe + 'static) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Acquisitions {
            probe: Arc::new(probe),
            sampling: 0,
            reading: 0,
            to_read: VecDeque::new(),
            python_reads: FxHashMap::default(),
            sender,
            receiver,
        }
    }

    /// Whether another wait may be sampled now.
    pub(in crate::engine) fn has_room(&self) -> bool {
        self.sampling < SAMPLES_AT_ONCE
    }

    /// Whether anything is being read.
    pub(in crate::engine) fn is_busy(&self) -> bool {
        self.sampling > 0 || self.reading > 0
    }

    /// Begins to acquire evidence, in the background.
    pub(in crate::engine) fn begin(&mut self, subject: Subject) {
        self.sampling += 1;
        self.start(Acquisition::new(subject));
    }

    fn start(&self, acquisition: Acquisition) {
        let (probe, sender) = (Arc::clone(&self.probe), self.sender.clone());
        spawn_blocking(move || {
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(acquisition.advance(&*probe));
        });
    }

    /// The next acquisition that the model is needed for, or that is done. Cancel-safe.
    pub(in crate::engine) async fn next(&mut self) -> Acquisition {
        match self.receiver.recv().await {
            Some(acquisition) => acquisition,
            // Cannot be: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    /// Takes an acquisition that has come back. Returns its evidence, if that is all.
    pub(in crate::engine) fn take(
        &mut self,
        acquisition: Acquisition,
        now_ns: u64,
        model: &Model,
    ) -> Option<Event> {
        let running = match acquisition.has_read() {
            true => &mut self.reading,
            false => &mut self.sampling,
        };
        *running = running.saturating_sub(1);
        let acquisition =
            acquisition.decide(now_ns, |event, python_read| triage(event, python_read, model));
        let event = match acquisition.reading() {
            Some(_) => {
                self.to_read.push_back(acquisition);
                None
            }
            None => acquisition.finish(now_ns),
        };
        self.read_more(now_ns, model);
        event
    }

    /// Begins to read for those that wait for it, as many as may be at once. What would be a finding
    /// goes before what is not one yet.
    fn read_more(&mut self, now_ns: u64, model: &Model) {
        while self.reading < READS_AT_ONCE {
            let is_finding =
                |one: &Acquisition| one.reading().is_some_and(|reading| reading.stacks.is_some());
            let finding = self.to_read.iter().position(is_finding);
            let Some(mut next) = self.to_read.remove(finding.unwrap_or(0)) else { return };
            let process = model.live(next.task().pid).map(|process| process.id);
            let first = process.map(|id| *self.python_reads.entry(id).or_insert(now_ns));
            next.set_python_read_ns(first);
            self.reading += 1;
            self.start(next);
        }
    }

    /// A process has ended.
    pub(in crate::engine) fn forget(&mut self, process: ProcId) {
        self.python_reads.remove(&process);
    }
}

impl Acquisition {
    fn task(&self) -> &Task {
        &self.subject.task
    }

    /// Whether more than a sample was read.
    fn has_read(&self) -> bool {
        self.python_read
    }
}

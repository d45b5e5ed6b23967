//! Looking closer at a wait, off the main loop: reading another process's memory and symbols may
//! take a tenth of a second, and records must not wait for it.

use tokio::{sync::mpsc::UnboundedSender, task::spawn_blocking};

use crate::{
    event::{AtFork, Body, Event, Evidence, Missing, Task, Wait, Window},
    inspect::{self, Inherited},
};
use forktrace_common::maps::PAGE_SIZE;

/// How far around the futex word a lock may reach, bytes.
const REACH: u64 = 256;

/// A look to be made.
pub(super) struct Job {
    task: Task,
    wait: Wait,
    shared_with: Vec<u32>,
    captured: Captured,
}

/// A look that was made.
pub(super) struct Look {
    pub(super) task: Task,
    pub(super) evidence: Evidence,
    /// Nothing more is to be read.
    pub(super) complete: bool,
}

impl Job {
    /// Takes what the maps know, now: the look itself runs elsewhere.
    pub(super) fn new(task: Task, wait: Wait, shared_with: Vec<u32>, maps: &dyn Inherited) -> Self {
        let captured = Captured::take(maps, task.pid, wait.uaddr);
        Job { task, wait, shared_with, captured }
    }

    /// Makes the look in the background and sends it.
    pub(super) fn start(self, sender: UnboundedSender<Look>) {
        spawn_blocking(move || {
            let Job { task, wait, shared_with, captured } = self;
            let evidence = inspect::evidence::collect(&task, &wait, &captured, shared_with);
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(Look { task, evidence, complete: false });
        });
    }
}

impl Look {
    /// The look as an event.
    pub(super) fn event(&self, boot_ns: u64) -> Event {
        let body = Body::Evidence(Box::new(self.evidence.clone()));
        Event { boot_ns, task: Some(self.task.clone()), body }
    }

    /// Adds the Python frames in the background and sends the look again.
    pub(super) fn read_python(mut self, sender: UnboundedSender<Look>) {
        spawn_blocking(move || {
            self.evidence.python = inspect::python::frames(self.task.pid, self.task.tid);
            self.complete = true;
            let _ = sender.send(self);
        });
    }
}

/// What the maps knew of the pages around a futex word.
struct Captured {
    pages: Vec<(u64, AtFork)>,
    wakes: Option<u64>,
}

impl Captured {
    fn take(maps: &dyn Inherited, pid: u32, uaddr: u64) -> Self {
        let page = |address: u64| address & !(PAGE_SIZE as u64 - 1);
        let mut starts =
            vec![page(uaddr.saturating_sub(REACH)), page(uaddr), page(uaddr.saturating_add(REACH))];
        starts.dedup();
        let pages =
            starts.into_iter().map(|start| (start, maps.bytes(pid, start, PAGE_SIZE))).collect();
        Captured { pages, wakes: maps.wakes(pid, uaddr) }
    }
}

impl Inherited for Captured {
    fn bytes(&self, _pid: u32, address: u64, len: usize) -> AtFork {
        let start = address & !(PAGE_SIZE as u64 - 1);
        match self.pages.iter().find(|(page, _)| *page == start) {
            Some((_, AtFork::Known(window))) => {
                let from = (address - start) as usize;
                let to = from.saturating_add(len).min(window.bytes.len());
                let bytes = window.bytes.get(from..to).unwrap_or_default().to_vec();
                AtFork::Known(Window { address, bytes })
            }
            Some((_, unknown)) => unknown.clone(),
            None => AtFork::Unknown(Missing::NoFault),
        }
    }

    fn wakes(&self, _pid: u32, _uaddr: u64) -> Option<u64> {
        self.wakes
    }
}

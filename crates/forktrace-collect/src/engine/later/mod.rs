//! Looks at processes some time after something happened to them: does a process go on without the lock on a
//! file that was given back ([`file_locks`]), and does nobody take the signals that are there for it
//! ([`signals`])?
//!
//! Both are read in `/proc`, in the background, and become events.

mod file_locks;
mod signals;

use std::sync::Arc;

use forktrace_model::{
    event::{Event, FileLock, Task},
    model::{Model, ProcId},
};
use tokio::{sync::mpsc, task::spawn_blocking};

pub(super) use self::file_locks::is_of_concern;
use self::{file_locks::FileLocks, signals::SignalLooks};
use crate::{clock, inspect, kernel::ForkRecords};

/// Something to look at.
#[derive(Clone, Debug)]
enum Subject {
    /// The processes of a family that may have a file open.
    File { task: Task, act: Box<FileLock>, act_ns: u64, by: u32, pids: Vec<u32> },
    /// The signals of a process.
    Signals { id: ProcId, task: Task, children: Vec<u32> },
}

/// What was seen.
#[derive(Debug)]
pub(super) enum Seen {
    File { task: Task, act: Box<FileLock> },
    Signals { id: ProcId, task: Task, now: Option<inspect::signals::Signals>, zombies: Vec<u32> },
}

/// Who is looked at, and when.
pub(super) struct Later {
    sender: mpsc::UnboundedSender<Vec<Seen>>,
    receiver: mpsc::UnboundedReceiver<Vec<Seen>>,
    records: Arc<ForkRecords>,
    files: FileLocks,
    signals: SignalLooks,
    busy: bool,
}

impl Later {
    pub(super) fn new(records: Arc<ForkRecords>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (files, signals) = (FileLocks::default(), SignalLooks::default());
        Later { sender, receiver, records, files, signals, busy: false }
    }

    /// Takes an event that `model` has taken.
    pub(super) fn consider(&mut self, event: &Event, model: &Model) {
        self.files.consider(event);
        self.signals.consider(event, model, &self.records);
    }

    /// What comes back next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Vec<Seen> {
        match self.receiver.recv().await {
            Some(seen) => seen,
            // Cannot be: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    /// When something is due next, `CLOCK_BOOTTIME`, ns.
    pub(super) fn due_ns(&self) -> Option<u64> {
        let due = self.files.due_ns().into_iter().chain(self.signals.due_ns()).min();
        due.filter(|_| !self.busy)
    }

    /// Begins what is due, in the background.
    pub(super) fn begin(&mut self, model: &Model, now_ns: u64) {
        if self.busy {
            return;
        }
        let subjects = self.due(model, now_ns);
        if subjects.is_empty() {
            return;
        }
        self.busy = true;
        let sender = self.sender.clone();
        spawn_blocking(move || {
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(subjects.into_iter().map(look).collect());
        });
    }

    fn due(&mut self, model: &Model, now_ns: u64) -> Vec<Subject> {
        let mut subjects = self.files.due(model, now_ns);
        subjects.extend(self.signals.due(model, now_ns));
        subjects
    }

    /// Takes what has come back. Returns the events that come of it.
    pub(super) fn take(&mut self, seen: Vec<Seen>, now_ns: u64) -> Vec<Event> {
        self.busy = false;
        seen.into_iter().filter_map(|seen| self.event(seen, now_ns)).collect()
    }

    fn event(&mut self, seen: Seen, now_ns: u64) -> Option<Event> {
        let (task, body) = match seen {
            Seen::File { task, act } => (task, forktrace_model::event::Body::FileLock(act)),
            Seen::Signals { id, task, now, zombies } => {
                (task, self.signals.take(id, now, zombies, now_ns)?)
            }
        };
        Some(Event { boot_ns: now_ns, task: Some(task), body })
    }

    /// Looks once more at the files, now: nothing is looked at later any more. Blocks its caller.
    pub(super) fn finish(&mut self, model: &Model, now_ns: u64) -> Vec<Event> {
        let subjects = self.files.due(model, u64::MAX);
        let seen = subjects.into_iter().map(look).collect();
        self.take(seen, now_ns)
    }

    /// A process has ended.
    pub(super) fn forget(&mut self, id: ProcId) {
        self.signals.forget(id);
    }
}

fn look(subject: Subject) -> Seen {
    match subject {
        Subject::File { task, mut act, act_ns, by, pids } => {
            let mut look = inspect::file_lock::look(&pids, act.inode, &act.device, act.sort);
            look.by = by;
            look.after_ns = clock::boot_ns().saturating_sub(act_ns);
            act.look = Some(Box::new(look));
            Seen::File { task, act }
        }
        Subject::Signals { id, task, children } => {
            let now = inspect::signals::look(task.pid);
            let zombies = inspect::signals::zombies(task.pid, &children);
            Seen::Signals { id, task, now, zombies }
        }
    }
}

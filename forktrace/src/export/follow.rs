//! One event after the other through model and judge, with whom each was about.

use forktrace_model::{
    event::{Body, Event},
    judge::{Judge, Outcome},
    model::{Change, Model, ProcId, Process},
};

use forktrace_log::{Identity, proc_uid};

/// Follows a log: what `report` does with an event, without printing anything.
#[derive(Debug, Default)]
pub struct Follow {
    model: Model,
    judge: Judge,
    boot_id: String,
}

/// What one event meant.
#[derive(Debug)]
pub struct Step {
    /// The process that the event is about; `None`: it is about the trace, or the process is not
    /// known.
    pub process: Option<ProcId>,
    /// What the event changed in the tree.
    pub changes: Vec<Change>,
    /// What the judge concluded.
    pub outcome: Option<Outcome>,
}

impl Follow {
    /// Keeps every process to the end, see [`Model::keeping_all`].
    pub fn keeping_all() -> Self {
        Follow { model: Model::keeping_all(), ..Follow::default() }
    }

    /// Takes the next event, in the order of the log.
    pub fn event(&mut self, event: &Event) -> Step {
        if let Body::TraceStart(start) = &event.body {
            self.boot_id.clone_from(&start.boot_id);
        }
        let live = |model: &Model| Some(model.live(event.task.as_ref()?.pid)?.id);
        // A process that ends with this event is known only before it; what a snapshot is about may
        // be another process of the same number than before.
        let before = match event.body {
            Body::ProcessSnapshot(_) => None,
            _ => live(&self.model),
        };
        let changes = self.model.apply(event);
        let process = before.or_else(|| live(&self.model));
        let outcome = self.judge.apply(event, &self.model);
        Step { process, changes, outcome }
    }

    /// The process tree so far.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The findings so far.
    pub fn judge(&self) -> &Judge {
        &self.judge
    }

    /// A process's [`proc_uid`].
    pub fn uid(&self, process: &Process) -> String {
        proc_uid(&self.boot_id, process.pid, process.start_ns)
    }

    /// Who a process is now; `None`: it is no longer kept.
    pub fn identity(&self, id: ProcId) -> Option<Identity> {
        let process = self.model.get(id)?;
        let parent = process.parent.and_then(|parent| self.model.get(parent));
        Some(Identity {
            proc_uid: self.uid(process),
            ppid: Some(process.ppid),
            parent_uid: parent.map(|parent| self.uid(parent)),
        })
    }
}

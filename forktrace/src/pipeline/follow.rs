//! One event after the other through model and judge, with whom each was about.

use forktrace_model::{
    event::{Body, Event},
    judge::{Judge, Outcome},
    model::{Change, Model, ProcId, Process},
};

use forktrace_log::{Identity, proc_uid};

/// Model and judge, which take the same events.
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
    /// Who that process is, where this is asked for.
    pub identity: Option<Identity>,
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

    /// Keeps what open findings were concluded from, for a log that goes on in a new file.
    pub fn keep_evidence(&mut self) {
        self.judge.keep_evidence();
    }

    /// Makes forks beside other threads findings, see [`Judge::set_audit`].
    pub fn set_audit(&mut self, audit: bool) {
        self.judge.set_audit(audit);
    }

    /// Takes the next event, in the order of time.
    pub(super) fn event(&mut self, event: &Event, with_identity: bool) -> Step {
        if let Body::TraceStart(start) = &event.body {
            self.boot_id.clone_from(&start.boot_id);
        }
        // A process that ends with this event is known only before it; what a snapshot is about may
        // be another process of the same number than before.
        let before = match event.body {
            Body::ProcessSnapshot(_) => None,
            _ => self.subject(event, with_identity),
        };
        let changes = self.model.apply(event);
        let (process, identity) = before.or_else(|| self.subject(event, with_identity)).unzip();
        let outcome = self.judge.apply(event, &self.model);
        if let Some(Outcome::Found(finding)) = &outcome {
            self.model.pin(finding.subject.pid);
        }
        Step { process, identity: identity.flatten(), changes, outcome }
    }

    fn subject(&self, event: &Event, with_identity: bool) -> Option<(ProcId, Option<Identity>)> {
        let process = self.model.live(event.task.as_ref()?.pid)?;
        Some((process.id, with_identity.then(|| self.identify(process))))
    }

    /// Drops what is not needed any more after an event.
    pub(super) fn forget(&mut self, step: &Step, event: &Event) {
        for change in &step.changes {
            if let Change::Ended(id) = change {
                self.judge.ended(*id, event.boot_ns, event.body.ended());
            }
        }
        for process in self.judge.forget() {
            self.model.unpin(process);
        }
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

    /// Who the living process with this pid is.
    pub fn live_identity(&self, pid: u32) -> Option<Identity> {
        self.model.live(pid).map(|process| self.identify(process))
    }

    fn identify(&self, process: &Process) -> Identity {
        let parent = process.parent.and_then(|parent| self.model.get(parent));
        Identity {
            proc_uid: self.uid(process),
            ppid: Some(process.ppid),
            parent_uid: parent.map(|parent| self.uid(parent)),
        }
    }
}

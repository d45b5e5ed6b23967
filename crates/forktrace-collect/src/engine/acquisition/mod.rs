//! The acquisition of evidence about one wait: what is read, in which order, and when it is enough.
//!
//! ```text
//!  Place ───► Sample ───► Triage ─── Nothing ──────────────► Done
//!  where is   memory,     the model   Python ─► Read ─┐
//!  the lock   threads     says what      ▲            │ back to Triage, once
//!                         more to read   └────────────┘
//!                                     Stacks ─► Read ──────► Done
//! ```
//!
//! Place, Sample and Read need the living process and block: a [`Probe`] does them on a thread of its
//! own. Triage needs the model and nothing else. [`queue`] moves acquisitions between the two.

mod captured;
mod live_probe;
mod queue;
#[cfg(test)]
mod tests;

use forktrace_model::{
    event::{Body, Event, Evidence, Task, Wait},
    triage::{Need, StackPlan},
};

pub(super) use self::{
    captured::{Pages, Waiters},
    live_probe::{LiveProbe, fork_moment, place as place_of},
    queue::Acquisitions,
};
use super::lock_observations::Question;
use crate::inspect::sample::Blocked;

/// A wait of which evidence is to be acquired, and what is known of it without reading its process.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// The thread that waits.
    pub(super) task: Task,
    pub(super) wait: Wait,
    /// Processes known to share its memory.
    pub(super) shared_with: Vec<u32>,
    pub(super) waiters: Waiters,
    /// The fork was not seen: what can be learnt of it after the fact is read too.
    pub(super) fork_unseen: bool,
    /// What probes on lock functions may have seen of the lock.
    pub(super) locks: Option<Question>,
    /// How the thread was found, where no futex call is watched.
    pub(super) blocked: Option<Blocked>,
}

/// Where a lock is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Placement {
    /// Its address, if it is elsewhere than the futex word.
    pub(super) target: Option<u64>,
    /// Address of its owner's descriptor, a `pthread_t`.
    pub(super) owner: Option<u64>,
}

/// What is read after a sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// The Python side.
    pub(super) python: bool,
    /// Native stacks.
    pub(super) stacks: Option<Box<StackPlan>>,
}

/// Reads a living process. Each call blocks, the last one for up to some seconds.
pub(super) trait Probe: Send + Sync {
    /// Finds where the lock is.
    fn place(&self, subject: &Subject) -> Placement;

    /// Reads everything but stacks and the Python side.
    fn sample(&self, subject: &Subject, placement: Placement) -> Evidence;

    /// Adds what `reading` asks for, and whether the thread is still in its wait after that.
    fn read(&self, subject: &Subject, evidence: &mut Evidence, reading: Reading);
}

/// How far an acquisition is.
#[derive(Clone, Debug)]
enum State {
    /// It is not known where the lock is.
    Place,
    /// The process is to be sampled.
    Sample(Placement),
    /// It is to be decided what more to read.
    Triage(Evidence),
    /// That is to be read.
    Read(Evidence, Reading),
    /// Everything was read.
    Done(Evidence),
}

/// The acquisition of evidence about one wait.
#[derive(Clone, Debug)]
pub(super) struct Acquisition {
    subject: Subject,
    /// The Python side was read, with whatever result.
    python_read: bool,
    state: State,
}

impl Acquisition {
    pub(super) fn new(subject: Subject) -> Self {
        Acquisition { subject, python_read: false, state: State::Place }
    }

    /// Does what needs the living process, until only the model can say how to go on.
    fn advance(mut self, probe: &dyn Probe) -> Self {
        loop {
            self.state = match self.state {
                State::Place => State::Sample(probe.place(&self.subject)),
                State::Sample(placement) => {
                    let evidence = probe.sample(&self.subject, placement);
                    rename(&mut self.subject.task, &evidence);
                    State::Triage(evidence)
                }
                State::Read(mut evidence, reading) => {
                    let is_last = reading.stacks.is_some();
                    self.python_read |= reading.python;
                    probe.read(&self.subject, &mut evidence, reading);
                    if is_last { State::Done(evidence) } else { State::Triage(evidence) }
                }
                State::Triage(_) | State::Done(_) => return self,
            }
        }
    }

    /// Decides what more to read. `triage` gets the evidence so far as an event of the time `now_ns`,
    /// and whether the Python side was read.
    fn decide(mut self, now_ns: u64, triage: impl FnOnce(&Event, bool) -> Need) -> Self {
        let State::Triage(evidence) = self.state else { return self };
        let event = event(&self.subject.task, evidence, now_ns);
        let need = triage(&event, self.python_read);
        let Body::Evidence(evidence) = event.body else {
            // An event made of evidence holds evidence.
            return Acquisition { state: State::Done(Evidence::default()), ..self };
        };
        let python = !self.python_read;
        self.state = match need {
            Need::Nothing => State::Done(*evidence),
            // It was read, and reading it again tells nothing more.
            Need::Python if !python => State::Done(*evidence),
            Need::Python => State::Read(*evidence, Reading { python, stacks: None }),
            Need::Stacks(plan) => State::Read(*evidence, Reading { python, stacks: Some(plan) }),
        };
        self
    }

    /// Whether more is to be read, and whether it is for a finding.
    fn reading(&self) -> Option<&Reading> {
        match &self.state {
            State::Read(_, reading) => Some(reading),
            _ => None,
        }
    }

    /// Notes when the Python side of the process was first read, `CLOCK_BOOTTIME`, ns.
    fn set_python_read_ns(&mut self, first_ns: Option<u64>) {
        if let State::Read(evidence, _) = &mut self.state {
            evidence.python_read_ns = first_ns;
        }
    }

    /// The evidence as an event of the time `now_ns`.
    fn finish(self, now_ns: u64) -> Option<Event> {
        match self.state {
            State::Done(evidence) => Some(event(&self.subject.task, evidence, now_ns)),
            _ => None,
        }
    }
}

fn event(task: &Task, evidence: Evidence, boot_ns: u64) -> Event {
    Event { boot_ns, task: Some(task.clone()), body: Body::Evidence(Box::new(evidence)) }
}

/// The thread may have taken another name since its latest event.
fn rename(task: &mut Task, evidence: &Evidence) {
    if let Some(thread) = evidence.threads.iter().find(|thread| thread.tid == task.tid)
        && !thread.comm.is_empty()
    {
        task.comm.clone_from(&thread.comm);
    }
}

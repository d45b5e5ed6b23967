//! Looking closer at long waits, and what becomes of a look.

use std::io;

use forktrace_common::maps::WaitState;

use super::{LOOKS_AT_ONCE, Live};
use crate::{
    cli::{
        evidence,
        lean::{Lean, Round},
        native, probes,
    },
    decode,
    event::{Body, Event, FutexWait, Task, Wait},
    finding::Confidence,
    inspect::late::Found,
    kernel,
    verdict::{self, Verdict},
};

/// The next round of looks that is over; never without `--lean`.
pub(super) async fn next_round(lean: &mut Option<Lean>) -> Round {
    match lean {
        Some(lean) => lean.round().await,
        None => std::future::pending().await,
    }
}

impl Live {
    /// Takes what was found to be blocked when tracing began.
    pub(super) fn found_before(&mut self, found: Found) {
        match &mut self.lean {
            Some(lean) => {
                let standing = self.before.take_forked(found);
                lean.take_standing(standing);
            }
            None => self.before.take(found, &mut self.kernel.maps),
        }
    }

    /// Takes a round of looks.
    pub(super) fn take_round(&mut self, round: Round) {
        let Some(lean) = &mut self.lean else { return };
        for event in lean.take(round, &self.pipeline.model) {
            self.order.push_unsequenced(event);
        }
    }

    /// Every wait that has lasted long enough, at the time `now`. Looks again, where that is how waits
    /// are found.
    pub(super) fn long_waits(&mut self, now: u64) -> Vec<WaitState> {
        let Some(lean) = &mut self.lean else {
            return self.kernel.maps.long_waits(now, self.min_wait_ns);
        };
        let before = &self.before;
        lean.begin(&self.pipeline.model, now, |process| before.is_forked(process.pid));
        lean.long_waits()
    }

    fn wait(&self, state: &WaitState) -> Wait {
        let known = self.lean.as_ref().and_then(|lean| lean.wait(state));
        known.map_or_else(|| decode::wait(state), |(wait, _)| wait)
    }

    /// The event that a wait has crossed the threshold.
    pub(super) fn blocked(&self, wait: &WaitState, now: u64) -> Event {
        let known = self.pipeline.model.live(wait.tgid);
        let thread = known.and_then(|process| process.threads.get(&wait.tid));
        let comm = thread.map(|thread| thread.comm.clone()).unwrap_or_default();
        let task = Task { pid: wait.tgid, tid: wait.tid, comm };
        let body = Body::FutexWait(FutexWait { wait: self.wait(wait), result: None, over: false });
        Event { boot_ns: now, task: Some(task), body }
    }

    /// Looks closer at a wait if it could be for an inherited lock and a look is due.
    pub(super) fn look(&mut self, wait: &WaitState, now: u64) {
        let model = &self.pipeline.model;
        let Some(process) = model.live(wait.tgid) else { return };
        let late = self.before.concerns(process, wait);
        let candidate = (late || process.inherited().is_some()) && wait.timed == 0;
        if !candidate || self.looks_running >= LOOKS_AT_ONCE || !self.looks.begin(wait, now) {
            return;
        }
        self.looks_running += 1;
        let thread = process.threads.get(&wait.tid);
        let comm = thread.map(|thread| thread.comm.clone()).unwrap_or_default();
        let task = Task { pid: wait.tgid, tid: wait.tid, comm };
        let shared_with = model.memory_shared_with(wait.tgid);
        let job = evidence::Job::new(task, self.wait(wait), shared_with, &self.kernel.maps);
        let mut job = if late { job.late() } else { job };
        if let Some(lean) = &self.lean
            && let Some((_, blocked)) = lean.wait(wait)
        {
            job = job.sampled(blocked, lean.waits_for(wait.tgid, wait.uaddr));
        }
        if let Some((parent, probed)) = probes::saw(&self.kernel, process, wait.uaddr, model) {
            job = job.with_probes(parent, probed);
        }
        job.start(self.sender.clone());
    }

    /// Takes a finished look. Stacks are read only for what would be a finding.
    pub(super) fn looked(&mut self, mut look: evidence::Look) -> io::Result<()> {
        let now = kernel::boot_ns();
        look.add_inherited(&self.kernel.maps);
        let event = look.event(now);
        let Body::Evidence(evidence) = &event.body else { return Ok(()) };
        let verdict = verdict::judge(&event, evidence, &self.pipeline.model);
        if let Verdict::Finding(finding) = &verdict
            && !look.complete
        {
            let (maps, model) = (&self.kernel.maps, &self.pipeline.model);
            let ask = native::ask(&look.task, evidence, finding, maps, model);
            let process = model.live(look.task.pid).map(|process| process.id);
            let first = process.map(|id| *self.python_reads.entry(id).or_insert(now));
            look.evidence.python_read_ns = first;
            look.read_stacks(ask, self.kernel.registers.clone(), self.sender.clone());
            return Ok(());
        }
        let settled = match &verdict {
            // Without having seen the fork nothing is more than likely.
            Verdict::Finding(finding) => match finding.unseen_fork {
                Some(_) => finding.confidence >= Confidence::Likely,
                None => finding.confidence == Confidence::Certain,
            },
            Verdict::Innocent(_) => true,
            Verdict::Open(_) => false,
        };
        self.looks_running = self.looks_running.saturating_sub(1);
        self.looks.end(look.task.tid, evidence.wait.enter_ns, now, settled);
        self.order.push_unsequenced(event);
        Ok(())
    }
}

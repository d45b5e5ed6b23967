//! Looking closer at long waits, and what becomes of a look.

use forktrace_common::maps::WaitState;
use rustc_hash::FxHashSet;

use super::{LOOKS_AT_ONCE, Live, READS_AT_ONCE, everything};
use crate::cli::{
    evidence,
    pipeline::Pipeline,
    probes,
    sampler::{Lean, Round},
    stack_reader,
};
use forktrace_collect::{
    decode,
    inspect::{self, preexisting_waits::Found},
};
use forktrace_model::{
    event::{Body, Doing, Event, FutexWait, Task, Wait},
    finding::Confidence,
    hazards::{self, Verdict},
    model::Process,
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
        let model = everything(self.narrowed.as_ref(), &self.pipeline);
        for event in lean.take(round, model) {
            self.order.push_unsequenced(event);
        }
    }

    /// Where waits are found by looking, looks again if it is time.
    pub(super) fn look_around(&mut self, now: u64) {
        let Some(lean) = &mut self.lean else { return };
        let (before, wanted) = (&self.before, &self.pipeline.model);
        let at_risk = |process: &Process| {
            let since_ns = match process.inherited() {
                Some(fork) => fork.boot_ns,
                None if before.concerns(process) => process.start_ns,
                None => return None,
            };
            wanted.live(process.pid).map(|_| since_ns)
        };
        lean.begin(everything(self.narrowed.as_ref(), &self.pipeline), now, at_risk);
    }

    /// Every wait that is known, however short.
    pub(super) fn waits(&self) -> Vec<WaitState> {
        let model = everything(self.narrowed.as_ref(), &self.pipeline);
        self.lean.as_ref().map_or_else(|| self.kernel.maps.waits(), |lean| lean.waits(model))
    }

    /// Whether a wait has lasted long enough to be looked at.
    pub(super) fn is_long(&self, wait: &WaitState, now: u64) -> bool {
        match &self.lean {
            Some(lean) => lean.is_long(wait),
            None => is_long(wait, now, self.min_wait_ns),
        }
    }

    /// Those of these waits that have.
    pub(super) fn long(&self, waits: &[WaitState], now: u64) -> Vec<WaitState> {
        waits.iter().filter(|wait| self.is_long(wait, now)).copied().collect()
    }

    fn wait(&self, state: &WaitState) -> Wait {
        let known = self.lean.as_ref().and_then(|lean| lean.wait(state));
        known.map_or_else(|| decode::wait(state), |(wait, _)| wait)
    }

    /// The event that a wait has crossed the threshold.
    pub(super) fn blocked(&self, wait: &WaitState, now: u64) -> Event {
        let known = self.pipeline.model.live(wait.tgid);
        let thread = known.and_then(|process| process.threads.get(&wait.tid));
        let known = || thread.map(|thread| thread.comm.clone()).unwrap_or_default();
        let comm = inspect::threads::name(wait.tgid, wait.tid).unwrap_or_else(known);
        let task = Task { pid: wait.tgid, tid: wait.tid, comm };
        let body = Body::FutexWait(FutexWait { wait: self.wait(wait), result: None, over: false });
        Event { boot_ns: now, task: Some(task), body }
    }

    /// Whether a wait could be for an inherited lock, and whether its fork was not seen.
    fn candidate(&self, wait: &WaitState) -> Option<(&Process, bool)> {
        self.pipeline.model.live(wait.tgid)?;
        // Also who shares its memory, or made it, without being wanted.
        let process = everything(self.narrowed.as_ref(), &self.pipeline).live(wait.tgid)?;
        let late = self.before.concerns(process);
        (wait.timed == 0 && (late || process.inherited().is_some())).then_some((process, late))
    }

    /// Looks closer at a wait if it could be for an inherited lock and a look is due. `waits` are all
    /// waits of this moment.
    pub(super) fn look(&mut self, wait: &WaitState, waits: &[WaitState], now: u64) {
        let candidate = self.candidate(wait).map(|(process, _)| process.threads.len());
        let Some(threads) = candidate else { return };
        self.looks.want(wait);
        if self.looks_running >= LOOKS_AT_ONCE || !self.looks.begin(wait, now, threads) {
            return;
        }
        let Some((process, late)) = self.candidate(wait) else { return };
        let model = everything(self.narrowed.as_ref(), &self.pipeline);
        let thread = process.threads.get(&wait.tid);
        let comm = thread.map(|thread| thread.comm.clone()).unwrap_or_default();
        let task = Task { pid: wait.tgid, tid: wait.tid, comm };
        let shared_with = model.memory_shared_with(wait.tgid);
        let job = evidence::Job::new(task, self.wait(wait), shared_with, waits);
        let mut job = if late { job.late() } else { job };
        if let Some(lean) = &self.lean
            && let Some((_, blocked)) = lean.wait(wait)
        {
            job = job.sampled(blocked, lean.waits_for(wait.tgid, wait.uaddr));
        }
        if let Some((parent, probed)) = probes::saw(&self.kernel, process, wait.uaddr, model) {
            job = job.with_probes(parent, probed);
        }
        job.place(self.sender.clone());
        self.looks_running += 1;
    }

    /// Takes what came back from the background.
    pub(super) fn answered(&mut self, answer: evidence::Answer) {
        match answer {
            evidence::Answer::Placed(job) => {
                job.start(&self.kernel.maps, self.sender.clone());
            }
            evidence::Answer::Sample(look) => self.looked(*look),
        }
    }

    /// Takes a look that has come back. Stacks are read only for what would be a finding, and
    /// Python's side also where it may tell a hang from a pool at rest.
    fn looked(&mut self, mut look: evidence::Sample) {
        let now = forktrace_collect::clock::boot_ns();
        let running =
            if look.python_read { &mut self.reads_running } else { &mut self.looks_running };
        *running = running.saturating_sub(1);
        look.add_inherited(&self.kernel.maps);
        let event = look.event(now);
        let Body::Evidence(evidence) = &event.body else { return };
        let verdict = hazards::judge(&event, &self.pipeline.model);
        match &verdict {
            Verdict::Finding(finding) if !look.complete => {
                let (maps, model) = (&self.kernel.maps, &self.pipeline.model);
                let ask = stack_reader::ask(&look.task, evidence, finding, maps, model);
                self.to_read.push_back((look, Some(ask)));
            }
            Verdict::Open(_) if !look.python_read && hazards::wants_python(evidence) => {
                self.to_read.push_back((look, None));
            }
            _ => {
                let settled = is_settled(&verdict);
                if let Verdict::Finding(_) = &verdict {
                    self.looks.found(look.task.pid, evidence.wait.uaddr);
                }
                let (tid, enter_ns) = (look.task.tid, evidence.wait.enter_ns);
                match evidence.still_waiting {
                    true => self.looks.end(tid, enter_ns, now, settled),
                    // It may have been interrupted only, or its process ended by somebody.
                    false => self.looks.disturbed(tid, enter_ns, now),
                }
                self.order.push_unsequenced(event);
            }
        }
        self.read_more(now);
    }

    /// Begins to read stacks for the looks that wait for it, as many as may be at once. What would be
    /// a finding goes before what is not one yet.
    fn read_more(&mut self, now: u64) {
        while self.reads_running < READS_AT_ONCE {
            let finding = self.to_read.iter().position(|(_, ask)| ask.is_some());
            let Some((mut look, ask)) = self.to_read.remove(finding.unwrap_or(0)) else { return };
            let process = self.pipeline.model.live(look.task.pid).map(|process| process.id);
            let first = process.map(|id| *self.python_reads.entry(id).or_insert(now));
            look.evidence.python_read_ns = first;
            look.read_more(ask, self.kernel.registers.clone(), self.sender.clone());
            self.reads_running += 1;
        }
    }

    /// Counts the waits that ended with their thread before they could be looked at; `waits` are all of
    /// this moment.
    pub(super) fn count_gone(&mut self, waits: &[WaitState], now: u64) {
        let old = |wait: &&WaitState| {
            wait.found != 0 && !self.is_long(wait, now) && self.candidate(wait).is_some()
        };
        let old: Vec<&WaitState> = waits.iter().filter(old).collect();
        self.looks.keep_old(old.into_iter());
        self.gone += self.looks.count_gone(now, has_ended);
    }

    /// Counts the waits that ended with their thread since the last time, and those in the middle of a
    /// look: none is taken any more.
    pub(super) fn give_up(&mut self, now: u64) {
        let waits = self.waits();
        self.looks.update(&self.long(&waits, now));
        self.looks.give_up();
        self.count_gone(&waits, now);
        self.gone += self.looks.count_gone(u64::MAX, has_ended);
    }

    /// How many processes there are, or were, whose waits only a look could have found, and something
    /// denied it. Those that live and are not wanted are left out.
    pub(super) fn denied(&self) -> u64 {
        let of_rounds = self.lean.iter().flat_map(Lean::denied);
        let all: FxHashSet<u32> = self.before.denied().iter().chain(of_rounds).copied().collect();
        let everything = everything(self.narrowed.as_ref(), &self.pipeline);
        let wanted =
            |pid: &u32| self.pipeline.model.live(*pid).is_some() || everything.live(*pid).is_none();
        all.into_iter().filter(wanted).count() as u64
    }

    /// Waits that are long, or had begun before tracing did, or are all that their process does, and
    /// were never looked at to the end though they could be for an inherited lock.
    pub(super) fn not_looked_at(&self, now: u64) -> NotLookedAt {
        let mut count = NotLookedAt::default();
        for wait in self.waits().iter().filter(|wait| !self.looks.has_ended(wait)) {
            let Some((process, _)) = self.candidate(wait) else { continue };
            let interrupted = wait.restarting != 0;
            let long =
                self.is_long(wait, now) || interrupted && is_old(wait, now, self.min_wait_ns);
            let due = wait.found != 0 || long || process.threads.len() == 1;
            let left = || interrupted && has_left(wait);
            if !due || self.is_reported(wait) || left() {
                continue;
            }
            *if interrupted { &mut count.interrupted } else { &mut count.waiting } += 1;
        }
        count
    }

    /// Whether there is a finding about a wait.
    fn is_reported(&self, wait: &WaitState) -> bool {
        let Pipeline { model, judge, .. } = &self.pipeline;
        let process = model.live(wait.tgid).map(|process| process.id);
        process.is_some_and(|id| judge.is_open(id, (wait.tid, wait.uaddr)))
    }
}

/// Waits that no look came to the end of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NotLookedAt {
    /// The thread waited.
    pub(super) waiting: u64,
    /// A signal had interrupted the wait, or the process was stopped in it.
    pub(super) interrupted: u64,
}

fn has_ended(pid: u32, tid: u32) -> bool {
    !inspect::scan::thread_lives(pid, tid)
}

/// Whether looking again can tell nothing more.
fn is_settled(verdict: &Verdict) -> bool {
    match verdict {
        // Without having seen the fork nothing is more than likely.
        Verdict::Finding(finding) => match finding.unobserved_fork() {
            Some(_) => finding.confidence >= Confidence::Likely,
            None => finding.confidence == Confidence::Certain,
        },
        Verdict::Innocent(_) | Verdict::Unrelated => true,
        Verdict::Open(_) => false,
    }
}

/// Whether a wait has lasted long enough to be looked at.
fn is_long(wait: &WaitState, now_ns: u64, min_wait_ns: u64) -> bool {
    wait.restarting == 0 && is_old(wait, now_ns, min_wait_ns)
}

fn is_old(wait: &WaitState, now_ns: u64, min_wait_ns: u64) -> bool {
    now_ns.saturating_sub(wait.enter_ns) >= min_wait_ns
}

/// Whether a thread does something else now than this wait, which a signal had interrupted.
fn has_left(wait: &WaitState) -> bool {
    let doing = inspect::threads::doing(wait.tgid, wait.tid);
    matches!(doing, Doing::Syscall(_) | Doing::Futex { .. })
        && !inspect::threads::is_in(&doing, &decode::wait(wait))
}

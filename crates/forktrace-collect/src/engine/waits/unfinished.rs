//! Waits that were not sampled to the end: silence about them is no all-clear.

use forktrace_common::maps::WaitState;
use forktrace_model::{
    event::{Doing, Task, Unjudged, UnjudgedWait, Wait},
    model::Process,
};
use rustc_hash::FxHashSet;

use super::{Waits, at_risk, is_old, sampler::Sampler};
use crate::{
    decode,
    engine::{
        census::Unread,
        consumer::{Consumer, Known as _, Models},
    },
    inspect,
    kernel::Kernel,
};

/// Most waits that are named.
const MOST_NAMED: usize = 10;

/// Waits that no sample came to the end of.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Unfinished {
    /// The thread waited.
    pub(in crate::engine) waiting: u64,
    /// A signal had interrupted the wait, or the process was stopped in it.
    pub(in crate::engine) interrupted: u64,
    /// The first of these, by name.
    pub(in crate::engine) named: Vec<(Task, UnjudgedWait)>,
}

impl Unfinished {
    fn add(&mut self, task: Task, wait: UnjudgedWait) {
        match wait.why {
            Unjudged::Interrupted => self.interrupted += 1,
            _ => self.waiting += 1,
        }
        if self.named.len() < MOST_NAMED {
            self.named.push((task, wait));
        }
    }
}

impl Waits {
    /// Counts the waits that ended with their thread before they could be sampled; `all` are all of this
    /// moment.
    pub(super) fn count_gone(&mut self, all: &[WaitState], models: Models<'_>, now_ns: u64) {
        let old = |wait: &&WaitState| {
            wait.found != 0 && !self.is_long(wait, now_ns) && self.candidate(wait, models).is_some()
        };
        let old: Vec<&WaitState> = all.iter().filter(old).collect();
        self.schedule.keep_old(old.into_iter());
        self.gone += self.schedule.count_gone(now_ns, has_ended);
    }

    /// Counts the waits that ended with their thread since the last time, and those in the middle of a
    /// sample: none is taken any more.
    pub(in crate::engine) fn give_up(&mut self, kernel: &Kernel, models: Models<'_>, now_ns: u64) {
        let all = self.all(&kernel.maps, models);
        self.schedule.update(&self.long(&all, now_ns));
        self.schedule.give_up();
        self.count_gone(&all, models, now_ns);
        self.gone += self.schedule.count_gone(u64::MAX, has_ended);
    }

    /// Waits that are long, or had begun before tracing did, or are all that their process does, and
    /// were never sampled to the end though they could be for an inherited lock.
    pub(in crate::engine) fn unfinished(
        &self,
        kernel: &Kernel,
        consumer: &impl Consumer,
        now_ns: u64,
    ) -> Unfinished {
        let models = Models::of(consumer);
        let mut count = Unfinished::default();
        let mut counted = FxHashSet::default();
        let all = self.all(&kernel.maps, models);
        // Of a thread that is known to be stopped this is told, and counted, already.
        let stopped: FxHashSet<(u32, u32)> = consumer
            .known()
            .unjudged()
            .into_iter()
            .filter(|known| known.wait.why == Unjudged::Stopped)
            .map(|known| (known.task.pid, known.task.tid))
            .collect();
        let is_told = |wait: &WaitState| stopped.contains(&(wait.tgid, wait.tid));
        for wait in all.iter().filter(|wait| !self.schedule.has_ended(wait) && !is_told(wait)) {
            let Some((process, _)) = self.candidate(wait, models) else { continue };
            let interrupted = wait.restarting != 0;
            let long =
                self.is_long(wait, now_ns) || interrupted && is_old(wait, now_ns, self.min_wait_ns);
            let sampled = self.sampler.as_ref();
            let unsure = sampled.is_some_and(|sampler| sampler.may_be_long(wait, now_ns));
            let due = wait.found != 0 || long || unsure || process.threads.len() == 1;
            let left = || interrupted && has_left(wait);
            if !due || is_reported(wait, consumer) || left() {
                continue;
            }
            let Wait { enter_ns, uaddr, op, val, timed, .. } = self.wait(wait);
            let why = if interrupted { Unjudged::Interrupted } else { Unjudged::NotSampled };
            let doing = Doing::Futex { uaddr, op, val, timed };
            let unjudged =
                UnjudgedWait { doing, since_ns: enter_ns, why, ..UnjudgedWait::default() };
            counted.insert(wait.tid);
            count.add(named(models, wait.tgid, wait.tid), unjudged);
        }
        let (preexisting, tree) = (&self.preexisting, self.tree);
        let at_risk = |process: &Process| at_risk(preexisting, models, process, tree);
        let unread = self.census.unread(models.wanted, now_ns, at_risk).into_iter();
        for Unread { pid, tid, doing, since_ns } in unread.filter(|one| !counted.contains(&one.tid))
        {
            let why = Unjudged::NotSampled;
            let unjudged = UnjudgedWait { doing, since_ns, why, ..UnjudgedWait::default() };
            count.add(named(models, pid, tid), unjudged);
        }
        count
    }

    /// The processes that there are, or were, whose waits only a sample could have found, and something
    /// denied it. Those that live and are not wanted are left out.
    pub(in crate::engine) fn denied(&self, models: Models<'_>) -> Vec<u32> {
        let of_rounds = self.sampler.iter().flat_map(Sampler::denied);
        let all: FxHashSet<u32> =
            self.preexisting.denied().iter().chain(of_rounds).copied().collect();
        let wanted = |pid: &u32| {
            models.wanted.live(*pid).is_some() || models.everything.live(*pid).is_none()
        };
        all.into_iter().filter(wanted).collect()
    }

    /// Waits that ended with their thread before they had been sampled to the end.
    pub(in crate::engine) fn gone(&self) -> u64 {
        self.gone
    }

    /// Waits older than the trace that are not sampled: there are too many.
    pub(in crate::engine) fn left_out(&self) -> u64 {
        self.preexisting.left_out()
    }
}

/// A thread, with its present name, or the one that it had.
pub(in crate::engine) fn named(models: Models<'_>, pid: u32, tid: u32) -> Task {
    let known = || {
        let thread = models.everything.live(pid)?.threads.get(&tid)?;
        Some(thread.comm.clone())
    };
    let comm = inspect::threads::name(pid, tid).or_else(known).unwrap_or_default();
    Task { pid, tid, comm }
}

/// Whether there is a finding about a wait.
fn is_reported(wait: &WaitState, consumer: &impl Consumer) -> bool {
    let process = consumer.known().wanted().live(wait.tgid).map(|process| process.id);
    process.is_some_and(|id| consumer.known().is_open(id, (wait.tid, wait.uaddr)))
}

fn has_ended(pid: u32, tid: u32) -> bool {
    !inspect::scan::thread_lives(pid, tid)
}

/// Whether a thread does something else now than this wait, which a signal had interrupted.
fn has_left(wait: &WaitState) -> bool {
    let doing = inspect::threads::doing(wait.tgid, wait.tid);
    matches!(doing, Doing::Syscall(_) | Doing::Futex { .. })
        && !inspect::threads::is_in(&doing, &decode::wait(wait))
}

//! Waits that were not sampled to the end: silence about them is no all-clear.

use forktrace_common::maps::WaitState;
use forktrace_model::{event::Doing, model::Process};
use rustc_hash::FxHashSet;

use super::{Waits, at_risk, is_old, sampler::Sampler};
use crate::{
    decode,
    engine::consumer::{Consumer, Models},
    inspect,
    kernel::Kernel,
};

/// Waits that no sample came to the end of.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct Unfinished {
    /// The thread waited.
    pub(in crate::engine) waiting: u64,
    /// A signal had interrupted the wait, or the process was stopped in it.
    pub(in crate::engine) interrupted: u64,
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
        let all = self.all(&kernel.maps, models);
        for wait in all.iter().filter(|wait| !self.schedule.has_ended(wait)) {
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
            *if interrupted { &mut count.interrupted } else { &mut count.waiting } += 1;
        }
        let (preexisting, tree) = (&self.preexisting, self.tree);
        let at_risk = |process: &Process| at_risk(preexisting, models, process, tree);
        count.waiting += self.census.unread(models.wanted, now_ns, at_risk);
        count
    }

    /// How many processes there are, or were, whose waits only a sample could have found, and something
    /// denied it. Those that live and are not wanted are left out.
    pub(in crate::engine) fn denied(&self, models: Models<'_>) -> u64 {
        let of_rounds = self.sampler.iter().flat_map(Sampler::denied);
        let all: FxHashSet<u32> =
            self.preexisting.denied().iter().chain(of_rounds).copied().collect();
        let wanted = |pid: &u32| {
            models.wanted.live(*pid).is_some() || models.everything.live(*pid).is_none()
        };
        all.into_iter().filter(wanted).count() as u64
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

/// Whether there is a finding about a wait.
fn is_reported(wait: &WaitState, consumer: &impl Consumer) -> bool {
    let process = consumer.wanted().live(wait.tgid).map(|process| process.id);
    process.is_some_and(|id| consumer.is_open(id, (wait.tid, wait.uaddr)))
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

//! Waits: which are known, which are long, and which are sampled when.

mod looks;
mod preexisting;
mod sampler;
mod schedule;
mod unfinished;

use forktrace_common::maps::WaitState;
use forktrace_model::{
    event::{Body, Event, FutexWait, Task, Wait},
    judge::Conclusion,
    model::{ProcId, Process},
};
use rustc_hash::FxHashSet;

pub(super) use self::unfinished::{Unfinished, named};
use self::{
    looks::Looks,
    preexisting::PreexistingWaits,
    sampler::{Round, Sampler},
    schedule::{PATIENCE_NS, SamplingSchedule},
};
use super::{
    Scope,
    acquisition::{Acquisition, Acquisitions, LiveProbe, Subject, Waiters},
    census::{self, Census, Risk},
    consumer::{Consumer, Known as _, Models},
    lock_observations::Question,
};
use crate::{
    decode,
    inspect::{self, preexisting_waits::Found},
    kernel::{Kernel, Maps},
};

/// How often long waits are looked for while no process is known that could hang on something inherited, ns.
const UNHURRIED_NS: u64 = 250_000_000;

/// The waits of a trace.
pub(super) struct Waits {
    min_wait_ns: u64,
    /// Not every process of the host is traced: those that are belong together.
    tree: bool,
    schedule: SamplingSchedule,
    acquisitions: Acquisitions,
    preexisting: PreexistingWaits,
    /// Without `--exact`: how waits are found.
    sampler: Option<Sampler>,
    census: Census,
    /// Waits that ended with their thread before they had been sampled to the end.
    gone: u64,
    looks: Looks,
    /// See [`Waits::is_calm`].
    calm: bool,
}

/// What has come back from the background.
pub(super) enum Report {
    /// An acquisition that needs the model, or is done.
    Acquisition(Box<Acquisition>),
    /// What was blocked when tracing began.
    Found(Found),
    /// A round of samples (without `--exact`).
    Round(Round),
    /// Of threads that do not move.
    Census(census::Report),
}

impl Waits {
    pub(super) fn new(kernel: &Kernel, scope: &Scope) -> Self {
        let min_wait_ns = scope.min_wait_ns;
        let records = std::sync::Arc::clone(&kernel.records);
        let probe = LiveProbe { records, registers: kernel.registers.clone() };
        Waits {
            min_wait_ns,
            tree: !scope.all,
            schedule: SamplingSchedule::default(),
            acquisitions: Acquisitions::new(probe),
            preexisting: PreexistingWaits::new(),
            sampler: kernel.lean.then(|| Sampler::new(min_wait_ns)),
            census: Census::new(min_wait_ns, kernel.registers.clone()),
            gone: 0,
            looks: Looks::default(),
            calm: false,
        }
    }

    /// Whether the latest report was as the one before: nothing is to be done for it before
    /// [`Waits::due_ns`].
    pub(super) fn is_calm(&self) -> bool {
        self.calm
    }

    /// The next report from the background. Cancel-safe.
    pub(super) async fn next(&mut self) -> Report {
        tokio::select! {
            biased;
            acquisition = self.acquisitions.next() => Report::Acquisition(Box::new(acquisition)),
            found = self.preexisting.found() => Report::Found(found),
            round = next_round(&mut self.sampler) => Report::Round(round),
            report = self.census.next() => Report::Census(report),
        }
    }

    /// Takes a report. Returns the events that come of it.
    pub(super) fn take(
        &mut self,
        report: Report,
        maps: &mut Maps,
        models: Models<'_>,
        now_ns: u64,
    ) -> Vec<Event> {
        self.calm = false;
        match report {
            Report::Acquisition(acquisition) => {
                let event = self.acquisitions.take(*acquisition, now_ns, models.wanted);
                event.into_iter().collect()
            }
            Report::Found(found) => {
                match &mut self.sampler {
                    Some(sampler) => {
                        sampler.take_standing(self.preexisting.take_forked(found));
                    }
                    None => self.preexisting.take(found, maps),
                }
                Vec::new()
            }
            Report::Round(round) => match &mut self.sampler {
                Some(sampler) => {
                    self.looks.ended(looks::Kind::Round, now_ns);
                    let ended = sampler.take(round, models.everything);
                    self.calm = !sampler.has_news();
                    ended
                }
                None => Vec::new(),
            },
            Report::Census(report) => {
                let looked = matches!(report, census::Report::Looked(_));
                let events = self.census.take(report, models.wanted, now_ns);
                self.calm = looked && events.is_empty() && self.census.is_calm(now_ns);
                if !self.census.is_looking() {
                    self.looks.ended(looks::Kind::Census, now_ns);
                }
                events
            }
        }
    }

    /// For how long the look at processes that is under way has lasted, if one is, and how long each took
    /// that has ended since this was asked last, ns.
    pub(super) fn looks(&mut self, now_ns: u64) -> (Option<u64>, Vec<u64>) {
        (self.looks.under_way_ns(now_ns), self.looks.take())
    }

    /// Does what is due. Returns the events that waits have become long.
    pub(super) fn tick(&mut self, kernel: &Kernel, models: Models<'_>, now_ns: u64) -> Vec<Event> {
        self.begin_round(models, now_ns);
        let all = self.all(&kernel.maps, models);
        let long = self.long(&all, now_ns);
        let new = self.schedule.update(&long);
        let events = new.into_iter().map(|wait| self.became_long(wait, models, now_ns)).collect();
        self.count_gone(&all, models, now_ns);
        for wait in &long {
            self.sample(wait, &all, kernel, models, now_ns);
        }
        // Afterwards: what is to be sampled is known now.
        self.begin_census(models, now_ns);
        events
    }

    /// When something is due next without an event, `CLOCK_BOOTTIME`, ns.
    pub(super) fn due_ns(&self, now_ns: u64) -> Option<u64> {
        let waits = match &self.sampler {
            Some(sampler) => sampler.next_ns(),
            // The programs tell of a wait when it ends: those that last are looked for.
            None if self.census.watches() => Some(now_ns),
            None => Some(now_ns.saturating_add(UNHURRIED_NS)),
        };
        [waits, self.census.next_ns(now_ns), self.schedule.next_ns(now_ns)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Where waits are found by sampling, samples again if it is time.
    fn begin_round(&mut self, models: Models<'_>, now_ns: u64) {
        let Some(sampler) = &mut self.sampler else { return };
        let preexisting = &self.preexisting;
        let at_risk = |process: &Process| {
            let since_ns = match process.inherited() {
                Some(fork) => fork.boot_ns,
                None if preexisting.concerns(process) => process.start_ns,
                None => return None,
            };
            models.wanted.live(process.pid).map(|_| since_ns)
        };
        if sampler.begin(models.everything, now_ns, at_risk) {
            self.looks.begun(looks::Kind::Round, now_ns);
        }
    }

    /// Looks at what may not move, and reads what does not.
    fn begin_census(&mut self, models: Models<'_>, now_ns: u64) {
        let (preexisting, schedule, tree) = (&self.preexisting, &self.schedule, self.tree);
        let at_risk = |process: &Process| at_risk(preexisting, models, process, tree);
        let young = self.young(models, now_ns);
        let pending = |process: &Process| {
            schedule.is_pending(process.pid, now_ns) || young.contains(&process.pid)
        };
        self.census.begin(models.wanted, now_ns, at_risk, pending);
        if self.census.is_looking() {
            self.looks.begun(looks::Kind::Census, now_ns);
        }
    }

    /// Without `--exact`: processes with waits that rounds of samples have found, and that may soon be long
    /// enough to be sampled by themselves, which tells more of a lock.
    fn young(&self, models: Models<'_>, now_ns: u64) -> FxHashSet<u32> {
        let until_ns = self.min_wait_ns.saturating_add(PATIENCE_NS);
        let waits = self.sampler.iter().flat_map(|sampler| sampler.waits(models.everything));
        let young = waits.filter(|wait| {
            now_ns.saturating_sub(wait.enter_ns) < until_ns && !self.schedule.has_ended(wait)
        });
        young.map(|wait| wait.tgid).collect()
    }

    /// Reads what does not move and was not read, now.
    pub(super) fn read_rest(&mut self, models: Models<'_>, now_ns: u64) -> Vec<Event> {
        let (preexisting, tree) = (&self.preexisting, self.tree);
        let at_risk = |process: &Process| at_risk(preexisting, models, process, tree);
        self.census.finish(models.wanted, now_ns, at_risk, |_| false)
    }

    /// Every wait that is known, however short.
    fn all(&self, maps: &Maps, models: Models<'_>) -> Vec<WaitState> {
        match &self.sampler {
            Some(sampler) => sampler.waits(models.everything),
            None => maps.waits(),
        }
    }

    /// Whether a wait has lasted long enough to be sampled.
    fn is_long(&self, wait: &WaitState, now_ns: u64) -> bool {
        match &self.sampler {
            Some(sampler) => sampler.is_long(wait),
            None => wait.restarting == 0 && is_old(wait, now_ns, self.min_wait_ns),
        }
    }

    /// Those of these waits that have.
    fn long(&self, waits: &[WaitState], now_ns: u64) -> Vec<WaitState> {
        waits.iter().filter(|wait| self.is_long(wait, now_ns)).copied().collect()
    }

    fn wait(&self, state: &WaitState) -> Wait {
        let known = self.sampler.as_ref().and_then(|sampler| sampler.wait(state));
        known.map_or_else(|| decode::wait(state), |(wait, _)| wait)
    }

    /// The event that a wait has crossed the threshold.
    fn became_long(&self, wait: &WaitState, models: Models<'_>, now_ns: u64) -> Event {
        let known = models.wanted.live(wait.tgid);
        let thread = known.and_then(|process| process.threads.get(&wait.tid));
        let known = || thread.map(|thread| thread.comm.clone()).unwrap_or_default();
        let comm = inspect::threads::name(wait.tgid, wait.tid).unwrap_or_else(known);
        let task = Task { pid: wait.tgid, tid: wait.tid, comm };
        let body = Body::FutexWait(FutexWait { wait: self.wait(wait), result: None, over: false });
        Event { boot_ns: now_ns, task: Some(task), body }
    }

    /// Whether a wait could be for an inherited lock, and whether its fork was not seen.
    fn candidate<'m>(&self, wait: &WaitState, models: Models<'m>) -> Option<(&'m Process, bool)> {
        models.wanted.live(wait.tgid)?;
        // Also who shares its memory, or made it, without being wanted.
        let process = models.everything.live(wait.tgid)?;
        let fork_unseen = self.preexisting.concerns(process);
        (wait.timed == 0 && (fork_unseen || process.inherited().is_some()))
            .then_some((process, fork_unseen))
    }

    /// Begins to acquire evidence about a wait if it could be for an inherited lock and a sample is due.
    /// `all` are all waits of this moment.
    fn sample(
        &mut self,
        wait: &WaitState,
        all: &[WaitState],
        kernel: &Kernel,
        models: Models<'_>,
        now_ns: u64,
    ) {
        let Some((process, fork_unseen)) = self.candidate(wait, models) else { return };
        self.schedule.want(wait, now_ns);
        let threads = process.threads.len();
        if !self.acquisitions.has_room() || !self.schedule.begin(wait, now_ns, threads) {
            return;
        }
        let thread = process.threads.get(&wait.tid);
        let comm = thread.map(|thread| thread.comm.clone()).unwrap_or_default();
        let sampled = self.sampler.as_ref().and_then(|sampler| {
            let (_, blocked) = sampler.wait(wait)?;
            Some((blocked, sampler.waits_for(wait.tgid, wait.uaddr)))
        });
        let (blocked, waiters) = match sampled {
            Some((blocked, since)) => (Some(blocked), Waiters::Sampled(since)),
            None => (None, Waiters::seen(wait, all)),
        };
        let locks = kernel.locks.as_ref();
        self.acquisitions.begin(Subject {
            task: Task { pid: wait.tgid, tid: wait.tid, comm },
            wait: self.wait(wait),
            shared_with: models.everything.memory_shared_with(wait.tgid),
            waiters,
            fork_unseen,
            locks: locks
                .and_then(|locks| Question::of(locks, process, wait.uaddr, models.everything)),
            blocked,
        });
    }

    /// Takes evidence that the consumer has judged: says when its wait is sampled again.
    pub(super) fn concluded(&mut self, event: &Event, consumer: &impl Consumer, now_ns: u64) {
        let (Body::Evidence(evidence), Some(task)) = (&event.body, &event.task) else { return };
        let Wait { enter_ns, uaddr, .. } = evidence.wait;
        let process = consumer.known().wanted().live(task.pid);
        let conclusion =
            process.and_then(|process| consumer.known().conclusion(process.id, (task.tid, uaddr)));
        let settled = match conclusion {
            Some(Conclusion::Finding { settled, likely }) => {
                self.schedule.found(task.pid, uaddr);
                if let Some(process) = process.filter(|_| likely && evidence.still_waiting) {
                    self.census.explained(process.id, task.tid, now_ns);
                }
                settled
            }
            Some(Conclusion::Nothing { settled }) => settled,
            None => false,
        };
        match evidence.still_waiting {
            true => self.schedule.end(task.tid, enter_ns, now_ns, settled),
            // It may have been interrupted only, or its process ended by somebody.
            false => self.schedule.disturbed(task.tid, enter_ns, now_ns),
        }
    }

    /// Searches these processes for waits that are older than the trace.
    pub(super) fn search(&mut self, pids: Vec<u32>) {
        self.preexisting.search(pids);
    }

    /// Finds out which of these processes were forked: their forks may have been lost.
    pub(super) fn search_again(&mut self, pids: Vec<u32>) {
        self.preexisting.search_again(pids);
    }

    /// How long a wait must last to be judged, ns.
    pub(super) fn min_wait_ns(&self) -> u64 {
        self.min_wait_ns
    }

    /// Since when everything that is to be traced is, see [`PreexistingWaits::searched_since`].
    pub(super) fn searched_since(&self) -> Option<u64> {
        self.preexisting.searched_since()
    }

    /// Whether anything is being read in the background.
    pub(super) fn is_reading(&self) -> bool {
        self.acquisitions.is_busy() || self.census.is_reading()
    }

    /// A process of the wanted model has ended.
    pub(super) fn forget(&mut self, process: ProcId) {
        self.acquisitions.forget(process);
        self.census.forget(process);
    }
}

/// Whether a process may hang after a fork, and how.
fn at_risk(
    preexisting: &PreexistingWaits,
    models: Models<'_>,
    process: &Process,
    tree: bool,
) -> Option<Risk> {
    let process = models.everything.live(process.pid)?;
    let started = process.fork.is_some() || tree && process.parent.is_some();
    match process.inherited() {
        Some(_) => Some(Risk::Forked),
        None if preexisting.concerns(process) => Some(Risk::ForkUnseen),
        None => started.then_some(Risk::Started),
    }
}

/// The next round of samples that is over; never with `--exact`.
async fn next_round(sampler: &mut Option<Sampler>) -> Round {
    match sampler {
        Some(sampler) => sampler.round().await,
        None => std::future::pending().await,
    }
}

/// Whether a wait has lasted long enough, though it may be interrupted now.
fn is_old(wait: &WaitState, now_ns: u64, min_wait_ns: u64) -> bool {
    now_ns.saturating_sub(wait.enter_ns) >= min_wait_ns
}

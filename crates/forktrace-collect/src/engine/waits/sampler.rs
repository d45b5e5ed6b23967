//! Without `--exact` no futex call is watched, and blocked threads are found by sampling.
//!
//! Only processes that may hang on something inherited are sampled. A hang is long by nature, so that
//! every sample shows it; what begins and ends between two samples is never seen, and costs nothing.

#[cfg(test)]
mod tests;

use forktrace_common::maps::WaitState;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::{sync::mpsc, task::spawn_blocking};

use forktrace_model::{
    event::{Body, Event, FutexWait, Task, Wait, Waiter},
    model::{Model, ProcId, Process},
};

use crate::{
    clock,
    inspect::{
        preexisting_waits::Standing,
        sample::{self, Blocked, Threads},
        scan,
    },
};

/// Least time from one round of samples to the next, ns. Rounds begin at the loop's ticks, every 0.1 s
/// more or less: with this, at every second one.
const PERIOD_NS: u64 = 150_000_000;

/// Most of it: somewhat less than a multiple of the loop's ticks. Where nothing has changed for long, the next
/// round is when this part of that time has passed.
const LONGEST_NS: u64 = 900_000_000;
const PART: u64 = 8;

/// At least so many times as long as a round has taken is between its end and the next one: on a host
/// where very many processes are at risk, hangs are found later rather than at a higher price.
const REST: u64 = 49;

/// Most processes that may not be sampled whose numbers are kept.
const MOST_DENIED: usize = 1 << 14;

/// A process to be sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Subject {
    id: ProcId,
    pid: u32,
    /// No wait of it is older, `CLOCK_BOOTTIME`, ns.
    since_ns: u64,
}

/// One sample of a process.
#[derive(Debug)]
struct Sample {
    subject: Subject,
    threads: Threads,
    /// Before and after it, `CLOCK_BOOTTIME`, ns.
    began_ns: u64,
    ended_ns: u64,
}

/// A sample of every process at risk.
#[derive(Debug)]
pub(in crate::engine) struct Round(Vec<Sample>);

/// A wait under way.
#[derive(Clone, Copy, Debug)]
struct Known {
    id: ProcId,
    pid: u32,
    blocked: Blocked,
    /// It began after the first of these, and before the second, `CLOCK_BOOTTIME`, ns.
    not_before_ns: u64,
    enter_ns: u64,
    /// The thread was in it when tracing began.
    since_before: bool,
    /// When it was last found to go on, `CLOCK_BOOTTIME`, ns.
    seen_ns: u64,
}

/// The waits that are known, and when to sample again.
#[derive(Debug)]
pub(super) struct Sampler {
    sender: mpsc::UnboundedSender<Round>,
    receiver: mpsc::UnboundedReceiver<Round>,
    period_ns: u64,
    min_wait_ns: u64,
    due_ns: u64,
    busy: bool,
    /// There was a process to be sampled when it was last looked for one.
    has_subjects: bool,
    /// When a round last showed a process, or a wait, that the one before did not, `CLOCK_BOOTTIME`, ns.
    changed_ns: u64,
    /// By tid.
    waits: FxHashMap<u32, Known>,
    /// When each process was last sampled, `CLOCK_BOOTTIME`, ns.
    sampled_ns: FxHashMap<ProcId, u64>,
    /// Such waits, of processes that the model does not know yet.
    standing: Vec<Standing>,
    /// Processes at risk for longer than such a wait that something denied access to.
    denied: FxHashSet<u32>,
    /// See [`Sampler::has_news`].
    news: bool,
}

impl Sampler {
    /// `min_wait_ns`: how long a wait must last to be reported.
    pub(super) fn new(min_wait_ns: u64) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Sampler {
            sender,
            receiver,
            period_ns: PERIOD_NS.min(min_wait_ns / 4),
            min_wait_ns,
            due_ns: 0,
            busy: false,
            has_subjects: false,
            changed_ns: 0,
            waits: FxHashMap::default(),
            sampled_ns: FxHashMap::default(),
            standing: Vec::new(),
            denied: FxHashSet::default(),
            news: true,
        }
    }

    /// Whether the latest round showed another wait than the one before, or that one has become long
    /// enough to be reported.
    pub(super) fn has_news(&self) -> bool {
        self.news
    }

    /// Begins the next round in the background, if it is due; whether it was. `at_risk`: since when a
    /// process may wait for something inherited, if it may (`CLOCK_BOOTTIME`, ns).
    pub(super) fn begin(
        &mut self,
        model: &Model,
        now_ns: u64,
        at_risk: impl Fn(&Process) -> Option<u64>,
    ) -> bool {
        if self.busy || now_ns < self.due_ns {
            return false;
        }
        self.settle_standing(model, scan::thread_lives);
        let subject = |process: &Process| {
            let since_ns = at_risk(process)?;
            Some(Subject { id: process.id, pid: process.pid, since_ns })
        };
        let subjects: Vec<Subject> = model.living().filter_map(subject).collect();
        let age_ns = now_ns.saturating_sub(self.changed_ns);
        let period_ns = (age_ns / PART).clamp(self.period_ns, LONGEST_NS.max(self.period_ns));
        self.has_subjects = !subjects.is_empty();
        if subjects.is_empty() {
            self.waits.clear();
            self.sampled_ns.clear();
            return false;
        }
        if subjects.iter().any(|subject| !self.sampled_ns.contains_key(&subject.id)) {
            self.changed_ns = now_ns;
        }
        self.due_ns = now_ns.saturating_add(period_ns);
        self.busy = true;
        let sender = self.sender.clone();
        spawn_blocking(move || {
            // The receiver is gone only when tracing has ended.
            let _ = sender.send(Round(subjects.into_iter().map(sampled).collect()));
        });
        true
    }

    /// When the next round is due, if any process is to be sampled and none is under way,
    /// `CLOCK_BOOTTIME`, ns.
    pub(super) fn next_ns(&self) -> Option<u64> {
        let wanted = self.has_subjects || !self.standing.is_empty();
        (wanted && !self.busy).then_some(self.due_ns)
    }

    /// A round that is over.
    pub(super) async fn round(&mut self) -> Round {
        match self.receiver.recv().await {
            Some(round) => round,
            // Cannot be: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    /// Takes waits that were found when tracing began, as soon as the model knows their processes.
    pub(super) fn take_standing(&mut self, standing: Vec<Standing>) {
        self.standing.extend(standing);
    }

    /// `lives`: whether a thread (pid, tid) is still there. A process may end before the model knows it.
    fn settle_standing(&mut self, model: &Model, lives: impl Fn(u32, u32) -> bool) {
        let waiting = std::mem::take(&mut self.standing);
        for one in waiting {
            let Some(process) = model.live(one.task.pid) else {
                if lives(one.task.pid, one.task.tid) {
                    self.standing.push(one);
                }
                continue;
            };
            let known = Known::standing(&one, process);
            // A round may have found it first.
            let seen_ns = match self.waits.get(&one.task.tid) {
                Some(found) if found.blocked == known.blocked => found.seen_ns,
                _ => known.seen_ns,
            };
            self.waits.insert(one.task.tid, Known { seen_ns, ..known });
        }
    }

    /// Takes a round. Returns, as events, the ends of waits that were long enough to be reported.
    pub(super) fn take(&mut self, round: Round, model: &Model) -> Vec<Event> {
        (self.busy, self.news) = (false, true);
        let Round(samples) = round;
        let (began_ns, ended_ns) = match (samples.first(), samples.last()) {
            (Some(first), Some(last)) => (first.began_ns, last.ended_ns),
            _ => return Vec::new(),
        };
        let rest = ended_ns.saturating_sub(began_ns).saturating_mul(REST);
        self.due_ns = self.due_ns.max(ended_ns.saturating_add(rest));
        let stages_before = self.stages();
        let mut before = std::mem::take(&mut self.waits);
        let sampled_before = std::mem::take(&mut self.sampled_ns);
        let mut ended = Vec::new();
        for Sample { subject, threads, began_ns, ended_ns } in &samples {
            let sampled_ns = sampled_before.get(&subject.id).copied();
            let long = began_ns.saturating_sub(subject.since_ns) >= self.min_wait_ns;
            if threads.denied && long && self.denied.len() < MOST_DENIED {
                self.denied.insert(subject.pid);
            }
            for blocked in &threads.blocked {
                let known = before.get(&blocked.tid).filter(|known| known.id == subject.id);
                let known = known.and_then(|known| known.now(*blocked, *began_ns));
                self.changed_ns = if known.is_none() { *ended_ns } else { self.changed_ns };
                let known = known.unwrap_or(Known {
                    id: subject.id,
                    pid: subject.pid,
                    blocked: *blocked,
                    not_before_ns: sampled_ns.unwrap_or(subject.since_ns),
                    enter_ns: *ended_ns,
                    since_before: false,
                    seen_ns: *ended_ns,
                });
                self.waits.insert(blocked.tid, known);
            }
            self.sampled_ns.insert(subject.id, *began_ns);
            for tid in &threads.tids {
                let own = before.get(tid).filter(|known| known.id == subject.id).copied();
                let Some(known) = own else { continue };
                before.remove(tid);
                let now = self.waits.get(tid).map(|now| now.blocked.uaddr);
                // Back in a wait for the same word: it may only have run a signal's handler.
                if self.lasts(&known) && now != Some(known.blocked.uaddr) {
                    let wait = FutexWait { wait: known.wait(), result: None, over: true };
                    ended.push(known.event(*ended_ns, wait, model));
                }
            }
        }
        self.news = !ended.is_empty() || self.stages() != stages_before;
        ended
    }

    /// By tid: since when each wait goes on, whether it is long enough to be reported, and whether it is
    /// stopped.
    fn stages(&self) -> FxHashMap<u32, (u64, bool, bool)> {
        let stage = |known: &Known| (known.enter_ns, self.lasts(known), known.blocked.stopped);
        self.waits.iter().map(|(tid, known)| (*tid, stage(known))).collect()
    }

    /// Processes at risk that something denied access to.
    pub(super) fn denied(&self) -> &FxHashSet<u32> {
        &self.denied
    }

    fn lasts(&self, known: &Known) -> bool {
        known.seen_ns.saturating_sub(known.enter_ns) >= self.min_wait_ns
    }

    /// Whether a wait is known to have lasted long enough to be reported.
    pub(super) fn is_long(&self, wait: &WaitState) -> bool {
        self.known(wait).is_some_and(|known| self.lasts(known) && !known.blocked.stopped)
    }

    /// Whether a wait may have lasted long, though it has not been seen for so long: it may have begun
    /// soon after the sample before.
    pub(super) fn may_be_long(&self, wait: &WaitState, now_ns: u64) -> bool {
        let since = self.known(wait).map(|known| known.not_before_ns);
        since.is_some_and(|since| now_ns.saturating_sub(since) >= self.min_wait_ns)
    }

    /// Every wait of a process that lives, as the programs' table would have it.
    pub(super) fn waits(&self, model: &Model) -> Vec<WaitState> {
        let lives = |known: &&Known| model.live(known.pid).is_some_and(|now| now.id == known.id);
        self.waits.values().filter(lives).map(Known::state).collect()
    }

    fn known(&self, wait: &WaitState) -> Option<&Known> {
        self.waits.get(&wait.tid).filter(|known| known.enter_ns == wait.enter_ns)
    }

    /// What is known of a wait, if it is known.
    pub(super) fn wait(&self, state: &WaitState) -> Option<(Wait, Blocked)> {
        let known = self.known(state)?;
        Some((known.wait(), known.blocked))
    }

    /// The threads of a process that wait for a word, by tid.
    pub(super) fn waits_for(&self, pid: u32, uaddr: u64) -> FxHashMap<u32, Waiter> {
        let waits = self.waits.values().filter(|known| {
            (known.pid, known.blocked.uaddr) == (pid, uaddr) && !known.blocked.stopped
        });
        let waiter = |known: &Known| {
            let Blocked { tid, times, .. } = known.blocked;
            (tid, Waiter { tid, enter_ns: known.enter_ns, times: Some(times) })
        };
        waits.map(waiter).collect()
    }
}

impl Known {
    fn standing(one: &Standing, process: &Process) -> Self {
        let Standing { wait: Wait { enter_ns, uaddr, op, val, .. }, switches, times, .. } = *one;
        Known {
            id: process.id,
            pid: process.pid,
            blocked: Blocked { tid: one.task.tid, uaddr, op, val, switches, times, stopped: false },
            not_before_ns: process.start_ns,
            enter_ns,
            since_before: true,
            seen_ns: enter_ns,
        }
    }

    /// This wait, if a thread of its process that is now found in that one is still in it. One that is
    /// stopped meanwhile takes it up again when it goes on, unless it was woken.
    fn now(&self, blocked: Blocked, began_ns: u64) -> Option<Self> {
        if self.blocked == blocked && !blocked.stopped {
            return Some(Known { seen_ns: began_ns.max(self.enter_ns), ..*self });
        }
        let call = |blocked: &Blocked| (blocked.uaddr, blocked.op, blocked.val);
        let held_up = blocked.stopped && call(&self.blocked) == call(&blocked);
        held_up.then_some(Known { blocked, ..*self })
    }

    fn wait(&self) -> Wait {
        let Blocked { uaddr, op, val, .. } = self.blocked;
        Wait {
            enter_ns: self.enter_ns,
            uaddr,
            op,
            val,
            timed: false,
            since_before: self.since_before,
            not_before_ns: Some(self.not_before_ns),
        }
    }

    fn state(&self) -> WaitState {
        let Blocked { tid, uaddr, op, val, .. } = self.blocked;
        WaitState {
            enter_ns: self.enter_ns,
            uaddr,
            val,
            op,
            timed: 0,
            tgid: self.pid,
            tid,
            restarting: self.blocked.stopped.into(),
            found: self.since_before.into(),
        }
    }

    fn event(&self, boot_ns: u64, wait: FutexWait, model: &Model) -> Event {
        let (pid, tid) = (self.pid, self.blocked.tid);
        let thread = model.live(pid).and_then(|process| process.threads.get(&tid));
        let comm = thread.map(|thread| thread.comm.clone()).unwrap_or_default();
        Event { boot_ns, task: Some(Task { pid, tid, comm }), body: Body::FutexWait(wait) }
    }
}

fn sampled(subject: Subject) -> Sample {
    let began_ns = clock::boot_ns();
    let threads = sample::take(subject.pid);
    Sample { subject, threads, began_ns, ended_ns: clock::boot_ns() }
}

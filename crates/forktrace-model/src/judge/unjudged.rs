//! Waits without a finding: which of them are accounted for, and which could not be judged.
//!
//! A wait is accounted for if it ends by itself, if somebody who can run could end it, or if it has
//! ended. Everything else is silence about which nothing can be said, and silence is no all-clear.

use rustc_hash::{FxHashMap, FxHashSet};

use super::Subjects;
use crate::{
    event::{Doing, Ended, Event, Evidence, Missing, Task, Unjudged, UnjudgedWait, stall::Stall},
    finding::Key,
    hazards::{self, Reason},
    model::{Model, ProcId, Process},
};

/// Most waits of processes that have ended, and most told by name in a log, that are kept.
const KEPT: usize = 1_000;

/// The end of a process takes so long at most from the end of its first thread to that of its last, ns:
/// a wait whose thread ended then may have gone on until its process was ended.
pub(super) const ENDING_NS: u64 = 100_000_000;

/// Waits without a finding.
#[derive(Debug, Default)]
pub(super) struct Silences {
    /// Those that go on, of processes that live.
    waits: Subjects<Silence>,
    /// What the latest stall of each process told of its threads.
    stalls: FxHashMap<ProcId, Stalled>,
    /// Those whose thread has ended a moment ago.
    leaving: FxHashMap<ProcId, Vec<Left>>,
    /// Those that could not be judged and went on until their process ended.
    ended: Vec<Unaccounted>,
    /// How many these are.
    ended_counts: FxHashMap<Unjudged, u64>,
    /// What the log itself tells of waits that were not judged.
    told: Vec<Unaccounted>,
    /// Threads that use a CPU all the time in one loop, or poll in vain, by process.
    busy: FxHashMap<ProcId, FxHashMap<u32, Unaccounted>>,
}

/// A wait that is not accounted for.
#[derive(Clone, Debug, PartialEq)]
pub struct Unaccounted {
    /// The thread.
    pub task: Task,
    /// Its wait, and why nothing can be said about it.
    pub wait: UnjudgedWait,
    /// Until when it lasted, where its process or thread has ended, `CLOCK_BOOTTIME`, ns; `None`: it
    /// goes on.
    pub until_ns: Option<u64>,
    /// Pages that were not kept would have told more of it: there was no room for them.
    pub pages_missing: bool,
}

/// What is known of a wait that led to no finding.
#[derive(Clone, Debug)]
pub(super) struct Silence {
    task: Task,
    doing: Doing,
    since_ns: u64,
    standing: Standing,
    /// More evidence can tell nothing more.
    pub(super) settled: bool,
    pages_missing: bool,
}

/// Whether a wait is accounted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It is.
    Yes,
    /// It is as long as another thread of its process can run.
    WhileOthersRun,
    /// It is if a stall shows who could end it.
    IfStallTells(Unjudged),
    /// It is not.
    No(Unjudged),
}

/// What a stall told of the threads of its process.
#[derive(Debug, Default)]
struct Stalled {
    /// When it was read, `CLOCK_BOOTTIME`, ns.
    boot_ns: u64,
    /// Threads whose wait something that can run could end.
    can_run: FxHashSet<u32>,
    /// Threads of which that is not known, and their waits.
    unknown: Vec<Unaccounted>,
}

/// A wait whose thread has ended.
#[derive(Debug)]
struct Left {
    /// When, `CLOCK_BOOTTIME`, ns.
    boot_ns: u64,
    wait: Unaccounted,
}

impl Silences {
    /// A wait led to no finding.
    pub(super) fn add(
        &mut self,
        process: ProcId,
        key: Key,
        (event, evidence): (&Event, &Evidence),
        reason: Reason,
        settled: bool,
    ) {
        let Some(task) = event.task.clone() else { return };
        let pages_missing = are_pages_missing(evidence);
        let standing = standing(&task, evidence, reason, pages_missing);
        let silence = Silence {
            doing: doing(evidence),
            since_ns: evidence.wait.enter_ns,
            task,
            standing,
            settled,
            pages_missing,
        };
        self.waits.entry(process).or_default().insert(key, silence);
    }

    /// What is known of a wait without a finding.
    pub(super) fn get(&self, process: ProcId, key: Key) -> Option<&Silence> {
        self.waits.get(&process)?.get(&key)
    }

    /// A wait has ended, or there is a finding about it after all.
    pub(super) fn remove(&mut self, process: ProcId, key: Key) {
        if let Some(waits) = self.waits.get_mut(&process) {
            waits.remove(&key);
        }
    }

    /// Takes what a stall tells of the threads of its process. `found`: a finding tells of those that can never
    /// run again.
    pub(super) fn stall(
        &mut self,
        process: ProcId,
        (pid, found): (u32, bool),
        event: &Event,
        stall: &Stall,
    ) {
        let mut stalled = Stalled { boot_ns: event.boot_ns, ..Stalled::default() };
        for told in hazards::accounts(stall, pid) {
            match told.can_run {
                Some(true) => drop(stalled.can_run.insert(told.task.tid)),
                Some(false) if found || !told.is_stuck => {}
                nobody => stalled.unknown.push(Unaccounted {
                    task: told.task,
                    wait: UnjudgedWait {
                        doing: told.doing,
                        since_ns: told.since_ns,
                        why: match nobody {
                            _ if told.stopped => Unjudged::Stopped,
                            Some(_) => Unjudged::NobodySeen,
                            None => Unjudged::WakersUnknown,
                        },
                        ..UnjudgedWait::default()
                    },
                    until_ns: None,
                    pages_missing: false,
                }),
            }
        }
        self.stalls.insert(process, stalled);
    }

    /// Takes what the log tells by name. `process`: the process, if it lives.
    pub(super) fn told(&mut self, process: Option<ProcId>, task: &Task, wait: &UnjudgedWait) {
        let told = Unaccounted {
            task: task.clone(),
            wait: wait.clone(),
            until_ns: None,
            pages_missing: false,
        };
        match (wait.why, process) {
            (Unjudged::Busy | Unjudged::Polls, Some(process)) if wait.over => {
                drop(self.busy_no_more(process, task.tid))
            }
            (Unjudged::Busy | Unjudged::Polls, Some(process)) => {
                self.busy.entry(process).or_default().insert(task.tid, told);
            }
            _ if self.told.len() < KEPT => self.told.push(told),
            _ => {}
        }
    }

    fn busy_no_more(&mut self, process: ProcId, tid: u32) -> Option<Unaccounted> {
        self.busy.get_mut(&process)?.remove(&tid)
    }

    /// A process runs another program now: its only thread has come out of its loop.
    pub(super) fn execed(&mut self, process: ProcId) {
        self.busy.remove(&process);
    }

    /// A thread has ended: its wait did, unless the whole process is ending.
    pub(super) fn thread_ended(
        &mut self,
        process: ProcId,
        tid: u32,
        boot_ns: u64,
        how: Option<Ended>,
    ) {
        if matches!(how, Some(Ended::Code(_))) {
            self.busy_no_more(process, tid);
        }
        let mut left = Vec::new();
        if let Some(waits) = self.waits.get_mut(&process) {
            waits.retain(|_, silence| {
                if silence.task.tid == tid {
                    left.extend(silence.unaccounted(None).map(|wait| Left { boot_ns, wait }));
                }
                silence.task.tid != tid
            });
        }
        if let Some(stalled) = self.stalls.get_mut(&process) {
            stalled.can_run.remove(&tid);
            stalled.unknown.retain(|wait| wait.task.tid != tid);
        }
        if !left.is_empty() {
            self.leaving.entry(process).or_default().append(&mut left);
        }
    }

    /// A process has ended. `hung`: a finding says that it hung, which tells enough of its other threads.
    pub(super) fn ended(&mut self, process: ProcId, boot_ns: u64, how: Option<Ended>, hung: bool) {
        // Who ends by itself was in no endless loop, and nothing needed a thread that was.
        let busy = self.busy.remove(&process).filter(|_| !matches!(how, Some(Ended::Code(_))));
        let stalled = self.stalls.remove(&process);
        let waits = self.waits.remove(&process).unwrap_or_default();
        let mut all: Vec<Unaccounted> =
            waits.values().filter_map(|silence| silence.unaccounted(stalled.as_ref())).collect();
        let left = self.leaving.remove(&process).into_iter().flatten();
        let at_once = |left: &Left| boot_ns.saturating_sub(left.boot_ns) <= ENDING_NS;
        all.extend(left.filter(at_once).map(|left| left.wait));
        // Who has come to its end with success was not kept from it. A watchdog ends a program otherwise.
        let stalled = stalled.filter(|_| how != Some(Ended::Code(0)));
        all.extend(stalled.into_iter().flat_map(|stalled| stalled.unknown));
        all.extend(busy.into_iter().flat_map(FxHashMap::into_values));
        for mut wait in all.into_iter().filter(|wait| !hung || !wait.is_for_nobody()) {
            wait.until_ns = Some(boot_ns);
            *self.ended_counts.entry(wait.wait.why).or_default() += 1;
            if self.ended.len() < KEPT {
                self.ended.push(wait);
            }
        }
    }

    /// The waits that are not accounted for, the longest first, each as the log tells it if it does; and
    /// how many there are of each sort. `hung`: processes of which a finding says that they hang, which
    /// tells enough of their other threads.
    pub(super) fn unaccounted(
        &self,
        model: &Model,
        hung: &FxHashSet<ProcId>,
    ) -> (Vec<Unaccounted>, FxHashMap<Unjudged, u64>) {
        let mut counts = self.ended_counts.clone();
        let mut all = Vec::new();
        for (id, waits) in &self.waits {
            let stalled = self.stalls.get(id);
            let process = model.get(*id);
            let open = waits.values().filter_map(|silence| {
                let idle = process.is_some_and(|process| !others_run(process, silence.task.tid));
                silence
                    .unaccounted(stalled)
                    .or_else(|| idle.then(|| silence.left_alone(stalled))?)
            });
            all.extend(open.filter(|wait| !hung.contains(id) || !wait.is_for_nobody()));
        }
        for (id, stalled) in self.stalls.iter().filter(|(id, _)| !hung.contains(id)) {
            let waits = self.waits.get(id);
            let judged =
                |tid: u32| waits.is_some_and(|waits| waits.values().any(|one| one.task.tid == tid));
            all.extend(stalled.unknown.iter().filter(|one| !judged(one.task.tid)).cloned());
        }
        // The others of these are counted by the tracer.
        let busy =
            self.busy.iter().flat_map(|(id, threads)| threads.values().map(move |one| (id, one)));
        let told = busy.filter(|(id, one)| !hung.contains(*id) || !one.is_for_nobody());
        all.extend(told.map(|(_, one)| one.clone()));
        for wait in &all {
            *counts.entry(wait.wait.why).or_default() += 1;
        }
        all.extend(self.ended.iter().cloned());
        self.name(&mut all);
        all.sort_by_key(|one| (one.wait.since_ns, one.task.pid, one.task.tid));
        (all, counts)
    }

    /// How many waits the log tells that the tracer alone knew of.
    pub(super) fn told_by_tracer(&self) -> u64 {
        self.told.iter().filter(|told| told.wait.why.is_of_tracer()).count() as u64
    }

    /// Adds what the log tells of these waits, and those that it alone knows.
    fn name(&self, all: &mut Vec<Unaccounted>) {
        let mut place: FxHashMap<(u32, u32), usize> = FxHashMap::default();
        for (at, one) in all.iter().enumerate() {
            place.insert((one.task.pid, one.task.tid), at);
        }
        for told in &self.told {
            match place.get(&(told.task.pid, told.task.tid)).and_then(|at| all.get_mut(*at)) {
                Some(known) => {
                    if known.wait.doing == Doing::Unknown {
                        known.wait.doing.clone_from(&told.wait.doing);
                    }
                    known.task.comm.clone_from(&told.task.comm);
                    known.wait.frame.clone_from(&told.wait.frame);
                    known.wait.python.clone_from(&told.wait.python);
                }
                None if told.wait.why.is_of_tracer() => all.push(told.clone()),
                // Judged by what is known today it is accounted for.
                None => {}
            }
        }
    }

    /// How many waits are accounted for though they go on: something that can run could end them.
    pub(super) fn harmless(&self) -> u64 {
        let mut waiting = FxHashSet::default();
        for (id, waits) in &self.waits {
            let harmless = |silence: &&Silence| {
                matches!(silence.standing, Standing::Yes | Standing::WhileOthersRun)
            };
            waiting.extend(waits.values().filter(harmless).map(|silence| (*id, silence.task.tid)));
        }
        for (id, stalled) in &self.stalls {
            waiting.extend(stalled.can_run.iter().map(|tid| (*id, *tid)));
        }
        waiting.len() as u64
    }
}

impl Silence {
    /// What is to be said of it, if it is not accounted for.
    fn unaccounted(&self, stalled: Option<&Stalled>) -> Option<Unaccounted> {
        match self.standing {
            Standing::Yes | Standing::WhileOthersRun => None,
            Standing::IfStallTells(_) if self.can_run(stalled) => None,
            Standing::IfStallTells(why) | Standing::No(why) => Some(self.named(why)),
        }
    }

    /// The same, where no other thread of its process is known to run any more.
    fn left_alone(&self, stalled: Option<&Stalled>) -> Option<Unaccounted> {
        let alone = self.standing == Standing::WhileOthersRun && !self.can_run(stalled);
        alone.then(|| self.named(Unjudged::NobodySeen))
    }

    fn named(&self, why: Unjudged) -> Unaccounted {
        let (doing, since_ns) = (self.doing.clone(), self.since_ns);
        Unaccounted {
            task: self.task.clone(),
            wait: UnjudgedWait { doing, since_ns, why, ..UnjudgedWait::default() },
            until_ns: None,
            pages_missing: self.pages_missing,
        }
    }

    /// Whether a stall that was read in this wait shows somebody who could end it.
    fn can_run(&self, stalled: Option<&Stalled>) -> bool {
        stalled.is_some_and(|stalled| {
            stalled.boot_ns >= self.since_ns && stalled.can_run.contains(&self.task.tid)
        })
    }
}

impl Unaccounted {
    /// Whether all that is missing is somebody who could end it.
    fn is_for_nobody(&self) -> bool {
        matches!(
            self.wait.why,
            Unjudged::NobodySeen | Unjudged::WakersUnknown | Unjudged::Polls | Unjudged::Stopped
        )
    }
}

impl Unjudged {
    /// Whether the tracer alone knows of such a wait, and no evidence of it was read.
    fn is_of_tracer(self) -> bool {
        matches!(
            self,
            Unjudged::NotSampled | Unjudged::Interrupted | Unjudged::Gone | Unjudged::Denied
        )
    }
}

/// Whether a wait that is no finding for this reason is accounted for.
fn standing(task: &Task, evidence: &Evidence, reason: Reason, pages_missing: bool) -> Standing {
    let others_run = hazards::others_run(task.tid, evidence);
    match reason {
        Reason::WaitEnded | Reason::Timed | Reason::NotForked | Reason::NotHarmful => Standing::Yes,
        Reason::OthersCanWake => Standing::WhileOthersRun,
        Reason::FreeAtFork
        | Reason::OwnerChanged
        | Reason::OwnedByChild
        | Reason::WokenSince
        | Reason::ReleasedHere => match others_run {
            true => Standing::WhileOthersRun,
            false => Standing::IfStallTells(Unjudged::NobodySeen),
        },
        Reason::Undecided if others_run && !pages_missing => Standing::WhileOthersRun,
        Reason::Undecided => Standing::No(Unjudged::Undecided),
        Reason::StuckWithAnother => Standing::IfStallTells(Unjudged::NobodySeen),
        Reason::SharedMapping => Standing::IfStallTells(Unjudged::WakersUnknown),
        Reason::SharedMemory | Reason::Unreadable => Standing::No(Unjudged::Unreadable),
        Reason::Denied => Standing::No(Unjudged::Denied),
        Reason::TooLate => Standing::No(Unjudged::ForkUnseen),
        Reason::UnknownLock | Reason::UnknownMachine => Standing::No(Unjudged::UnknownLock),
    }
}

/// Whether another thread of a process is not known to be in a futex wait without a timeout.
fn others_run(process: &Process, tid: u32) -> bool {
    let waits = |wait: &crate::event::Wait| !wait.timed;
    let mut others = process.threads.iter().filter(|(other, _)| **other != tid);
    others.any(|(_, thread)| !thread.wait.as_ref().is_some_and(waits))
}

fn are_pages_missing(evidence: &Evidence) -> bool {
    let at_fork = evidence.target.as_ref().map_or(&evidence.at_fork, |place| &place.at_fork);
    *at_fork == crate::event::AtFork::Unknown(Missing::LimitReached)
}

fn doing(evidence: &Evidence) -> Doing {
    let wait = &evidence.wait;
    Doing::Futex { uaddr: wait.uaddr, op: wait.op, val: wait.val, timed: wait.timed }
}

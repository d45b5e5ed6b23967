//! Threads that do not move, whatever system call they are in.
//!
//! Forked processes are looked at again and again, in the background ([`Watch`] keeps what was seen). One
//! with a thread that has been in one call for longer than the threshold, or polls, is read with all
//! who could end its wait; that becomes a `stall` event. It is read again each time that its wait is
//! twice as old, and as soon as a thread moves that seemed to be stuck.

mod busy;
mod lost;
mod polls;
mod steady;
mod watch;

use forktrace_model::{
    event::{
        Body, Event, Python, Task,
        stall::{Stall, TaskState},
    },
    hazards::{Account, accounts, stuck_among_others, stuck_thread},
    model::{Model, ProcId, Process},
};
use tokio::{sync::mpsc, task::spawn_blocking};

pub(super) use self::watch::Unread;
use self::{
    steady::{Steady, Told},
    watch::{Sample, Watch},
};
use crate::{
    inspect::{
        python, stacks,
        stall::{self, KnownThreads},
        unobserved_fork,
    },
    kernel::{ASKS, Visitor},
};

/// Most processes that are read at once: they share a look at all processes of the host.
const MOST_AT_ONCE: usize = 64;

/// At least so many times as long as a round has taken is between its end and the next one.
const REST: u64 = 99;

/// What has come back from the background.
#[derive(Debug)]
pub(super) enum Report {
    /// A look at every process at risk.
    Looked(Vec<Sample>),
    /// Processes that were read.
    Read(Vec<Read>),
    /// Steady threads that were sampled.
    Sampled(Vec<(Steady, Option<Event>)>),
    /// Threads that poll, whose wakers were read.
    Polled(Vec<(Steady, Option<Event>)>),
}

/// A process that was read.
#[derive(Debug)]
pub(super) struct Read {
    id: ProcId,
    task: Task,
    stall: Stall,
    /// The thread that is stuck.
    stuck: Option<u32>,
    risk: Risk,
}

/// Why a process is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Risk {
    /// It was forked and has not exec'ed since.
    Forked,
    /// The same, and the fork was not seen.
    ForkUnseen,
    /// It was forked and exec'ed: it may be part of a circle of waits.
    Started,
}

/// A process that is to be read.
#[derive(Clone, Debug)]
struct Subject {
    id: ProcId,
    pid: u32,
    risk: Risk,
    /// Threads that its fork did not copy, where the process that forked lives.
    lost: Vec<Task>,
}

/// Looks at processes, and has them read.
#[derive(Debug)]
pub(super) struct Census {
    sender: mpsc::UnboundedSender<Report>,
    receiver: mpsc::UnboundedReceiver<Report>,
    registers: Visitor,
    watch: Watch,
    due_ns: u64,
    /// Who is at risk was not asked the last time: it was too soon.
    early: bool,
    looking: bool,
    reading: bool,
    busy: Told,
    polling: Told,
    /// At the end: threads that could never go on, though they do not wait for long enough to be sure.
    young: Vec<Unread>,
}

impl Census {
    /// `min_wait_ns`: from when on a wait is long.
    pub(super) fn new(min_wait_ns: u64, registers: Visitor) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Census {
            sender,
            receiver,
            registers,
            watch: Watch::new(min_wait_ns),
            due_ns: 0,
            early: false,
            looking: false,
            reading: false,
            busy: Told::default(),
            polling: Told::again(),
            young: Vec::new(),
        }
    }

    /// What comes back next. Cancel-safe.
    pub(super) async fn next(&mut self) -> Report {
        match self.receiver.recv().await {
            Some(report) => report,
            // Cannot be: a sender is kept here.
            None => std::future::pending().await,
        }
    }

    /// Begins what is due, in the background. `at_risk`: what may be wrong with a
    /// process, if anything. `settled`: whether nothing more is to be found out
    /// about a process now.
    pub(super) fn begin(
        &mut self,
        model: &Model,
        now_ns: u64,
        at_risk: impl Fn(&Process) -> Option<Risk>,
        settled: impl Fn(&Process) -> bool,
    ) {
        self.early = !self.looking && now_ns < self.due_ns;
        if !self.looking && now_ns >= self.due_ns {
            let subjects = model.living().filter(|process| at_risk(process).is_some());
            let ids: Vec<(ProcId, u32)> =
                subjects.map(|process| (process.id, process.pid)).collect();
            let looks = self.watch.due(&ids, now_ns);
            self.due_ns = now_ns.saturating_add(self.watch.period_ns());
            if !looks.is_empty() {
                self.looking = true;
                let sender = self.sender.clone();
                spawn_blocking(move || {
                    // The receiver is gone only when tracing has ended.
                    let _ = sender
                        .send(Report::Looked(looks.into_iter().map(watch::sampled).collect()));
                });
            }
        }
        self.begin_sampling(model, now_ns, &at_risk);
        self.begin_polled(model, now_ns, &at_risk);
        if !self.reading {
            let subjects = Self::subjects(self.watch.to_read(now_ns), model, at_risk, settled);
            if !subjects.is_empty() {
                self.reading = true;
                let (sender, registers) = (self.sender.clone(), self.registers.clone());
                let known = self.watch.known();
                spawn_blocking(move || {
                    let _ = sender.send(Report::Read(read(&subjects, &known, &registers)));
                });
            }
        }
    }

    /// Begins to sample threads that have been busy for long.
    fn begin_sampling(
        &mut self,
        model: &Model,
        now_ns: u64,
        at_risk: impl Fn(&Process) -> Option<Risk>,
    ) {
        if self.busy.sampling {
            return;
        }
        let due = self.busy.due(&self.busy_threads(model, now_ns, at_risk), now_ns);
        if !due.is_empty() {
            self.busy.sampling = true;
            let (sender, registers) = (self.sender.clone(), self.registers.clone());
            spawn_blocking(move || {
                let _ =
                    sender.send(Report::Sampled(busy::sampled(due, &registers, busy::PATIENCE)));
            });
        }
    }

    /// Threads of forked processes that have been busy for long.
    fn busy_threads(
        &self,
        model: &Model,
        now_ns: u64,
        at_risk: impl Fn(&Process) -> Option<Risk>,
    ) -> Vec<Steady> {
        self.watch.busy(now_ns).filter(|one| is_forked(model, one.id, &at_risk)).collect()
    }

    /// Begins to read who could wake threads that poll.
    fn begin_polled(
        &mut self,
        model: &Model,
        now_ns: u64,
        at_risk: impl Fn(&Process) -> Option<Risk>,
    ) {
        if self.polling.sampling {
            return;
        }
        let due = self.polling.due(&self.polling_threads(model, now_ns, at_risk), now_ns);
        if !due.is_empty() {
            self.polling.sampling = true;
            let (sender, known) = (self.sender.clone(), self.watch.known_polling());
            spawn_blocking(move || {
                let _ = sender.send(Report::Polled(polls::read(due, &known)));
            });
        }
    }

    /// Threads of forked processes that poll, and do not yet for long enough to be judged.
    fn polling_threads(
        &self,
        model: &Model,
        now_ns: u64,
        at_risk: impl Fn(&Process) -> Option<Risk>,
    ) -> Vec<Steady> {
        self.watch.polling(now_ns).filter(|one| is_forked(model, one.id, &at_risk)).collect()
    }

    /// Whether processes are being read.
    pub(super) fn is_reading(&self) -> bool {
        self.reading
    }

    /// Whether processes are being looked at.
    pub(super) fn is_looking(&self) -> bool {
        self.looking
    }

    /// Whether any process is at risk, as far as it was asked.
    pub(super) fn watches(&self) -> bool {
        !self.watch.is_empty()
    }

    /// Whether no thread is busy or polls: what is due does not depend on these.
    pub(super) fn is_calm(&self, now_ns: u64) -> bool {
        self.watch.busy(now_ns).next().is_none() && self.watch.polling(now_ns).next().is_none()
    }

    /// When something is due next, `CLOCK_BOOTTIME`, ns. What is under way tells its end.
    pub(super) fn next_ns(&self, now_ns: u64) -> Option<u64> {
        let look = match (self.looking, self.early) {
            (true, _) => None,
            (false, true) => Some(self.due_ns),
            (false, false) => self.watch.look_ns().map(|due_ns| due_ns.max(self.due_ns)),
        };
        let read = if self.reading { None } else { self.watch.read_ns(now_ns) };
        look.into_iter().chain(read).min()
    }

    /// Those of some processes that are worth to be read.
    fn subjects(
        due: Vec<ProcId>,
        model: &Model,
        at_risk: impl Fn(&Process) -> Option<Risk>,
        settled: impl Fn(&Process) -> bool,
    ) -> Vec<Subject> {
        let subject = |id: ProcId| {
            let process = living(model, id)?;
            let risk = at_risk(process)?;
            let lost = lost::threads(model, process);
            (!settled(process)).then_some(Subject { id, pid: process.pid, risk, lost })
        };
        due.into_iter().filter_map(subject).take(MOST_AT_ONCE).collect()
    }

    /// Takes what has come back. Returns the events that come of it.
    pub(super) fn take(&mut self, report: Report, model: &Model, now_ns: u64) -> Vec<Event> {
        match report {
            Report::Looked(samples) => {
                self.looking = false;
                let took = match (samples.first(), samples.last()) {
                    (Some(first), Some(last)) => last.ended_ns.saturating_sub(first.began_ns),
                    _ => 0,
                };
                self.due_ns = self.due_ns.max(now_ns.saturating_add(took.saturating_mul(REST)));
                self.watch.take(samples);
                let watch = &self.watch;
                let mut events = self.busy.over(|id, tid| watch.busy_since_ns(id, tid), now_ns);
                let polls = |id, tid| watch.polling_since_ns(id, tid, now_ns);
                events.extend(self.polling.over(polls, now_ns));
                events
            }
            Report::Read(reads) => {
                self.reading = false;
                reads.into_iter().filter_map(|read| self.event(read, model, now_ns)).collect()
            }
            Report::Sampled(sampled) => self.busy.take(sampled, self.watch.busy(now_ns), now_ns),
            Report::Polled(read) => self.polling.take(read, self.watch.polling(now_ns), now_ns),
        }
    }

    /// The event, if it says something that the one before does not say.
    fn event(&mut self, read: Read, model: &Model, now_ns: u64) -> Option<Event> {
        let Read { id, task, stall, stuck, risk } = read;
        living(model, id)?;
        // It has moved since it was found to be worth it: another wait has begun, which may be short.
        let young = stuck.is_some_and(|tid| {
            waits_since(&stall, task.pid, tid)
                .is_some_and(|since_ns| !self.watch.is_long(since_ns, now_ns))
        });
        if young {
            self.watch.read(id, &stall, None, now_ns);
            return None;
        }
        let accounts = accounts(&stall, task.pid);
        // Also who only waits for a child that is stuck itself is told with the others.
        let dead = accounts.iter().any(|account| account.can_run == Some(false));
        let whole = stuck.is_some() || dead;
        let stall = if whole { stall } else { own_part(stall, task.pid, &accounts) };
        let was_stuck = self.watch.is_stuck(id);
        let news = self.watch.read(id, &stall, stuck, now_ns);
        let stands = stuck.is_some() || accounts.iter().any(|account| account.is_stuck);
        let silent = risk == Risk::Started && !stands && !was_stuck;
        (news && !silent).then(|| Event {
            boot_ns: now_ns,
            task: Some(task),
            body: Body::Stall(Box::new(stall)),
        })
    }

    /// Reads what is long and was not read since, now: nothing is read later any more.
    pub(super) fn finish(
        &mut self,
        model: &Model,
        now_ns: u64,
        at_risk: impl Fn(&Process) -> Option<Risk>,
        settled: impl Fn(&Process) -> bool,
    ) -> Vec<Event> {
        let due = Self::subjects(self.watch.to_read(now_ns), model, &at_risk, &settled);
        let young = Self::subjects(self.watch.young(now_ns), model, &at_risk, &settled).into_iter();
        let young = young.filter(|one| one.risk != Risk::Started).map(|one| one.pid);
        let mut pids: Vec<u32> = due.iter().map(|subject| subject.pid).collect();
        pids.extend(young.filter(|pid| !pids.contains(pid)).collect::<Vec<u32>>());
        let mut events = Vec::new();
        for (pid, stall) in stalls(&pids, &self.watch.known()) {
            match due.iter().find(|subject| subject.pid == pid) {
                Some(subject) => {
                    let read = described(subject, stall, &self.registers);
                    events.extend(self.event(read, model, now_ns));
                }
                None => self.young.extend(cannot_go_on(&stall, pid)),
            }
        }
        let due = self.polling.due(&self.polling_threads(model, now_ns, &at_risk), u64::MAX);
        let read = polls::read(due, &self.watch.known_polling());
        events.extend(self.polling.take(read, self.watch.polling(now_ns), now_ns));
        let due = self.busy.due(&self.busy_threads(model, now_ns, at_risk), u64::MAX);
        let sampled = busy::sampled(due, &self.registers, busy::LITTLE_PATIENCE);
        events.extend(self.busy.take(sampled, self.watch.busy(now_ns), now_ns));
        events
    }

    /// A thread of each process that has one that does not move and was not read since it stands still.
    pub(super) fn unread(
        &self,
        model: &Model,
        now_ns: u64,
        at_risk: impl Fn(&Process) -> Option<Risk>,
    ) -> Vec<Unread> {
        let unread = self.watch.unread(now_ns).filter(|(id, _)| is_forked(model, *id, &at_risk));
        unread.map(|(_, thread)| thread).chain(self.young.iter().cloned()).collect()
    }

    /// There is a finding about a futex wait of a thread, as of `now_ns`. Until it moves, the process is
    /// not read.
    pub(super) fn explained(&mut self, id: ProcId, tid: u32, now_ns: u64) {
        self.watch.explained(id, tid, now_ns);
    }

    /// A process has ended.
    pub(super) fn forget(&mut self, id: ProcId) {
        self.watch.forget(id);
        self.busy.forget(id);
        self.polling.forget(id);
    }
}

/// Reads processes. Blocks for at least some 30 ms.
fn read(subjects: &[Subject], known: &KnownThreads, registers: &Visitor) -> Vec<Read> {
    let pids: Vec<u32> = subjects.iter().map(|subject| subject.pid).collect();
    let of = |(pid, stall): (u32, Stall)| {
        let subject = subjects.iter().find(|subject| subject.pid == pid)?;
        Some(described(subject, stall, registers))
    };
    stalls(&pids, known).into_iter().filter_map(of).collect()
}

/// The stalls of processes, all of one look at the host. Blocks as above.
fn stalls(pids: &[u32], known: &KnownThreads) -> Vec<(u32, Stall)> {
    if pids.is_empty() { Vec::new() } else { stall::read(pids, known, ASKS) }
}

/// A thread of a process that can never go on, if it waits for nothing else than it seems to.
fn cannot_go_on(stall: &Stall, pid: u32) -> Option<Unread> {
    let stuck = accounts(stall, pid).into_iter().find(|account| account.is_stuck)?;
    Some(Unread { pid, tid: stuck.task.tid, doing: stuck.doing, since_ns: stuck.since_ns })
}

/// Adds what is read only of a thread that is stuck.
fn described(subject: &Subject, mut stall: Stall, registers: &Visitor) -> Read {
    let pid = subject.pid;
    let stuck = match subject.risk {
        Risk::Started => stuck_among_others(&stall, pid),
        Risk::Forked | Risk::ForkUnseen => stuck_thread(&stall, pid),
    };
    let shown = stuck.unwrap_or(pid);
    let of_task = |tid: u32| stall.tasks.iter().find(|task| (task.pid, task.tid) == (pid, tid));
    let found = of_task(shown).or_else(|| stall.tasks.iter().find(|task| task.pid == pid));
    let task = found.map_or_else(
        || Task { pid, tid: pid, comm: String::new() },
        |task| Task { pid, tid: task.tid, comm: task.comm.clone() },
    );
    let ns_tid = found.and_then(|task| task.ns_tid).unwrap_or(task.tid);
    if stuck.is_some() {
        if subject.risk == Risk::ForkUnseen {
            stall.late = unobserved_fork::of(&task);
        }
        // In this order: reading Python's frames makes the kernel copy pages.
        stall.stack = stacks::of_thread(task.clone(), registers.clone());
        stall.python = python::look(pid, task.tid, ns_tid, 0).python;
        stall.lost_threads = lost::stacks(&stall, &task, &subject.lost, registers);
    } else {
        stall.python = Python::default();
    }
    Read { id: subject.id, task, stall, stuck, risk: subject.risk }
}

/// What a stall tells of its own process alone. Where somebody can go on, who that is makes no difference.
/// `accounts`: those of the whole stall.
fn own_part(stall: Stall, pid: u32, accounts: &[Account]) -> Stall {
    let can_run = |tid: u32| {
        accounts.iter().any(|account| account.task.tid == tid && account.can_run == Some(true))
    };
    let mut tasks: Vec<_> = stall.tasks.into_iter().filter(|task| task.pid == pid).collect();
    let mut things = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for task in &mut tasks {
        let TaskState::Waits(wait) = &mut task.state else { continue };
        wait.others = can_run(task.tid);
        for on in &mut wait.on {
            let Some(thing) = stall.things.get(on.thing as usize) else { continue };
            on.thing = *places.entry(on.thing).or_insert_with(|| {
                things.push(thing.clone());
                u32::try_from(things.len() - 1).unwrap_or(u32::MAX)
            });
        }
    }
    let processes = stall.processes.into_iter().filter(|process| process.pid == pid).collect();
    Stall { tasks, things, processes, ..stall }
}

/// Whether a process that lives was forked, and runs what its parent ran.
fn is_forked(model: &Model, id: ProcId, at_risk: impl Fn(&Process) -> Option<Risk>) -> bool {
    let risk = living(model, id).and_then(at_risk);
    risk.is_some_and(|risk| risk != Risk::Started)
}

/// Since when a thread is in one wait, `CLOCK_BOOTTIME`, ns; `None`: it polls, or is in none.
fn waits_since(stall: &Stall, pid: u32, tid: u32) -> Option<u64> {
    let task = stall.tasks.iter().find(|task| (task.pid, task.tid) == (pid, tid))?;
    match &task.state {
        TaskState::Waits(wait) => (!wait.timed).then_some(wait.since_ns),
        TaskState::Moves | TaskState::Unknown => None,
    }
}

/// A process that still lives.
fn living(model: &Model, id: ProcId) -> Option<&Process> {
    let process = model.get(id)?;
    model.live(process.pid).filter(|now| now.id == id)
}

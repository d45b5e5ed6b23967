//! Tracing a live kernel: one loop over the ring buffer, a tick, finished looks and signals.

use std::{io, time::Duration};

use forktrace_common::maps::WaitState;
use rustc_hash::FxHashMap;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use super::{evidence, failure::Failure, looks::Looks, losses::Losses, native, pipeline::Pipeline};
use crate::{
    decode::{self, Record},
    event::{Body, Event, FutexWait, Resync, Task, TraceEnd},
    inspect,
    kernel::{self, AsyncRing, Kernel, Outcome, Ring, RunningChild},
    model::{Change, ProcId},
    order::{Orderer, Stamped},
    verdict::{self, Verdict},
};

/// How often waits are looked at and what is due is done.
const TICK: Duration = Duration::from_millis(100);

/// How far apart two CPUs' records may arrive out of order.
const REORDER_NS: u64 = 20_000_000;

/// How many waits are looked at closely at the same time.
const LOOKS_AT_ONCE: usize = 8;

/// When to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Until {
    /// After this long.
    pub(super) duration: Option<Duration>,
    /// This long after the first finding that is shown.
    pub(super) after_finding: Option<Duration>,
    /// When no traced process is alive any more.
    pub(super) targets_end: bool,
}

/// Why tracing stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// A signal asked for it.
    Interrupted,
    /// The time was over.
    Duration,
    /// No traced process was left.
    TargetsEnded,
    /// A finding was made, and that was enough.
    Found,
}

impl Stopped {
    fn reason(self) -> &'static str {
        match self {
            Stopped::Interrupted => "interrupted",
            Stopped::Duration => "duration",
            Stopped::TargetsEnded => "targets ended",
            Stopped::Found => "found",
        }
    }
}

/// A trace under way.
pub(super) struct Live {
    kernel: Kernel,
    ring: AsyncRing,
    order: Orderer,
    pub(super) pipeline: Pipeline,
    looks: Looks,
    looks_running: usize,
    sender: mpsc::UnboundedSender<evidence::Look>,
    receiver: mpsc::UnboundedReceiver<evidence::Look>,
    min_wait_ns: u64,
    trace_all: bool,
    child: Option<RunningChild>,
    pub(super) outcome: Option<Outcome>,
    losses: Losses,
    /// When the Python side of a process was first read, `CLOCK_BOOTTIME`, ns.
    python_reads: FxHashMap<ProcId, u64>,
    undecodable: u64,
    interrupts: Interrupts,
}

impl Live {
    /// Takes over the loaded programs, and from here on the signals that end a trace: a command may
    /// be interrupted as soon as it runs. Must be called inside the tokio runtime.
    ///
    /// # Errors
    /// When the ring buffer cannot be watched.
    pub(super) fn new(
        kernel: Kernel,
        ring: Ring,
        pipeline: Pipeline,
        min_wait_ns: u64,
        trace_all: bool,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        Ok(Live {
            kernel,
            ring: ring.into_async()?,
            order: Orderer::new(REORDER_NS),
            pipeline,
            looks: Looks::default(),
            looks_running: 0,
            sender,
            receiver,
            min_wait_ns,
            trace_all,
            child: None,
            outcome: None,
            losses: Losses::default(),
            python_reads: FxHashMap::default(),
            undecodable: 0,
            interrupts: Interrupts::new()?,
        })
    }

    /// The command that was started for this trace.
    pub(super) fn set_child(&mut self, child: RunningChild) {
        self.child = Some(child);
    }

    /// That command's pid, if there is one.
    pub(super) fn child_pid(&self) -> Option<u32> {
        self.child.map(RunningChild::pid)
    }

    /// Puts a command that waits for its release into the trace, under the name that it will have.
    ///
    /// # Errors
    /// When the table of traced processes is full or the output cannot be written.
    pub(super) fn adopt_command(&mut self, pid: u32, name: &str) -> Result<(), Failure> {
        self.kernel.maps.trace(pid)?;
        let now = kernel::boot_ns();
        if let Ok(mut event) = inspect::scan::snapshot(pid, now, false) {
            if let (Some(task), Body::ProcessSnapshot(snapshot)) =
                (&mut event.task, &mut event.body)
            {
                task.comm = name.to_owned();
                snapshot.exe = None;
                for thread in &mut snapshot.threads {
                    thread.comm = name.to_owned();
                }
            }
            self.order.push_unsequenced(event);
        }
        Ok(self.release(now)?)
    }

    /// Puts processes that are alive already into the trace, with all their descendants unless
    /// `alone`.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn adopt(&mut self, roots: &[u32], alone: bool) -> Result<(), Failure> {
        let mut known = std::collections::BTreeSet::new();
        // A child made between the look at /proc and the entry of its parent in the map is found
        // by looking again; one made later is followed by the kernel.
        loop {
            let tree =
                if alone { roots.to_vec() } else { inspect::scan::tree(roots).unwrap_or_default() };
            let new: Vec<u32> = tree.into_iter().filter(|pid| known.insert(*pid)).collect();
            if new.is_empty() {
                break;
            }
            for pid in &new {
                self.kernel.maps.trace(*pid)?;
            }
        }
        let pids: Vec<u32> = known.into_iter().collect();
        self.snapshot(&pids, false)?;
        Ok(())
    }

    /// Puts every process of the host into the trace.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn adopt_all(&mut self) -> io::Result<()> {
        self.snapshot(&everybody(), false)
    }

    /// Parents come before their children, which the model relies on: they are older.
    fn snapshot(&mut self, pids: &[u32], resync: bool) -> io::Result<()> {
        let now = kernel::boot_ns();
        let mut events: Vec<Event> =
            pids.iter().filter_map(|pid| inspect::scan::snapshot(*pid, now, resync).ok()).collect();
        events.sort_by_key(|event| match &event.body {
            Body::ProcessSnapshot(snapshot) => snapshot.start_ns,
            _ => 0,
        });
        let processes = u32::try_from(events.len()).unwrap_or(u32::MAX);
        for event in events {
            self.order.push_unsequenced(event);
        }
        if resync {
            let body = Body::Resync(Resync { processes });
            self.order.push_unsequenced(Event { boot_ns: now, task: None, body });
        }
        self.release(now)
    }

    /// Runs until something ends it.
    ///
    /// # Errors
    /// When the output cannot be written or the runtime fails.
    pub(super) async fn run(&mut self, until: &Until) -> io::Result<Stopped> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let far = Duration::from_secs(86_400 * 365);
        let end = Instant::now() + until.duration.unwrap_or(far);
        let mut found_at = None;
        loop {
            let mut records = Vec::new();
            tokio::select! {
                biased;
                () = self.interrupts.next() => return Ok(Stopped::Interrupted),
                () = sleep_until(end) => return Ok(Stopped::Duration),
                _ = tick.tick() => self.tick()?,
                Some(look) = self.receiver.recv() => self.looked(look)?,
                ready = self.ring.batch(|bytes| records.push(decode::decode(bytes))) => ready?,
            }
            self.take(records);
            self.release(kernel::boot_ns())?;
            if found_at.is_none() && self.pipeline.shown().next().is_some() {
                found_at = Some(Instant::now());
            }
            if let (Some(found_at), Some(delay)) = (found_at, until.after_finding)
                && found_at + delay <= Instant::now()
            {
                return Ok(Stopped::Found);
            }
            if until.targets_end && self.targets_ended() {
                return Ok(Stopped::TargetsEnded);
            }
        }
    }

    /// Whether every process that was traced is known to have ended.
    fn targets_ended(&mut self) -> bool {
        let child_ended = self.child.is_none() || self.outcome.is_some();
        child_ended && self.order.is_empty() && self.pipeline.model.live_count() == 0
    }

    fn take(&mut self, records: Vec<Result<Record, decode::DecodeError>>) {
        for record in records {
            match record {
                Ok(Record { cpu, seq, event, leftover }) => {
                    if let (Some(leftover), Some(task)) = (leftover, &event.task) {
                        self.kernel.maps.clean(task.pid, &leftover);
                    }
                    self.order.push(Stamped { cpu, seq, event });
                }
                Err(error) => {
                    self.undecodable += 1;
                    tracing::warn!("{error}");
                }
            }
        }
    }

    /// Hands on every event that is old enough to be in its final order.
    fn release(&mut self, now_ns: u64) -> io::Result<()> {
        while let Some(event) = self.order.pop_ready(now_ns) {
            self.deliver(event)?;
        }
        Ok(())
    }

    fn deliver(&mut self, mut event: Event) -> io::Result<()> {
        if let Body::EventsLost(lost) = &mut event.body {
            lost.by_kind = self.losses.explain(lost.count, &self.kernel.maps.counters().dropped);
        }
        let changes = self.pipeline.event(&event)?;
        if !self.kernel.exit_tells_last_thread {
            for change in changes {
                if let Change::Ended(id) = change {
                    let pid = self.pipeline.model.get(id).pid;
                    self.kernel.maps.forget(pid);
                }
            }
        }
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        let now = kernel::boot_ns();
        if let Some(logger) = &mut self.kernel.diagnostics {
            logger.flush();
        }
        if let (Some(child), None) = (self.child, self.outcome) {
            self.outcome = child.try_wait();
        }
        self.check_losses(now, false)?;
        let waits = self.kernel.maps.long_waits(now, self.min_wait_ns);
        let new: Vec<Event> =
            self.looks.update(&waits).into_iter().map(|wait| self.blocked(wait, now)).collect();
        for event in new {
            self.order.push_unsequenced(event);
        }
        for wait in &waits {
            self.look(wait, now);
        }
        self.release(now)?;
        self.pipeline.flush()
    }

    /// The event that a wait has crossed the threshold.
    fn blocked(&self, wait: &WaitState, now: u64) -> Event {
        let known = self.pipeline.model.live(wait.tgid);
        let thread = known.and_then(|process| process.threads.get(&wait.tid));
        let comm = thread.map(|thread| thread.comm.clone()).unwrap_or_default();
        let task = Task { pid: wait.tgid, tid: wait.tid, comm };
        let body = Body::FutexWait(FutexWait { wait: decode::wait(wait), result: None });
        Event { boot_ns: now, task: Some(task), body }
    }

    /// Looks closer at a wait if it could be for an inherited lock and a look is due.
    fn look(&mut self, wait: &WaitState, now: u64) {
        let Some(process) = self.pipeline.model.live(wait.tgid) else { return };
        let candidate = process.inherited().is_some() && wait.timed == 0;
        if !candidate || self.looks_running >= LOOKS_AT_ONCE || !self.looks.begin(wait, now) {
            return;
        }
        self.looks_running += 1;
        let thread = process.threads.get(&wait.tid);
        let comm = thread.map(|thread| thread.comm.clone()).unwrap_or_default();
        let task = Task { pid: wait.tgid, tid: wait.tid, comm };
        let shared_with = self.pipeline.model.memory_shared_with(wait.tgid);
        let job = evidence::Job::new(task, decode::wait(wait), shared_with, &self.kernel.maps);
        job.start(self.sender.clone());
    }

    /// Takes a finished look. Stacks are read only for what would be a finding.
    fn looked(&mut self, mut look: evidence::Look) -> io::Result<()> {
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
            Verdict::Finding(finding) => finding.confidence == crate::finding::Confidence::Certain,
            Verdict::Innocent(_) => true,
            Verdict::Open(_) => false,
        };
        self.looks_running = self.looks_running.saturating_sub(1);
        self.looks.end(look.task.tid, evidence.wait.enter_ns, now, settled);
        self.order.push_unsequenced(event);
        Ok(())
    }

    /// Notices losses that no later record has shown, and heals the model after any loss. A new look
    /// at all processes is not cheap: while losses go on there is one a second.
    fn check_losses(&mut self, now: u64, last: bool) -> io::Result<()> {
        let total = self.kernel.maps.counters().lost();
        if !self.losses.is_due(total, now, last) {
            return Ok(());
        }
        let mut records = Vec::new();
        self.ring.drain(|bytes| records.push(decode::decode(bytes)));
        self.take(records);
        self.order.set_total_lost(now, total);
        self.kernel.maps.sweep();
        let alive = if self.trace_all { everybody() } else { self.kernel.maps.traced() };
        self.snapshot(&alive, true)
    }

    /// Detaches nothing yet, but takes what is still in the ring and ends the log.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn finish(&mut self, stopped: Stopped) -> io::Result<()> {
        let now = kernel::boot_ns();
        let mut records = Vec::new();
        self.ring.drain(|bytes| records.push(decode::decode(bytes)));
        self.take(records);
        self.check_losses(now, true)?;
        for event in self.order.flush() {
            self.deliver(event)?;
        }
        let counters = self.kernel.maps.counters();
        let lost = counters.lost() + self.undecodable;
        let end = TraceEnd { reason: stopped.reason().into(), counters: counters.others, lost };
        let event = Event { boot_ns: now, task: None, body: Body::TraceEnd(end) };
        self.pipeline.event(&event)?;
        self.pipeline.flush()
    }
}

fn everybody() -> Vec<u32> {
    let own = std::process::id();
    inspect::scan::all().unwrap_or_default().into_iter().filter(|pid| *pid != own).collect()
}

/// SIGINT, SIGTERM and SIGHUP: detach and print the summary.
struct Interrupts {
    signals: [Signal; 3],
}

impl Interrupts {
    fn new() -> io::Result<Self> {
        Ok(Interrupts {
            signals: [
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            ],
        })
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

//! Tracing a live kernel: one loop over the ring buffer, a tick, finished looks and signals.

mod adopting;
mod interrupts;
mod looking;
mod resync;

use std::{collections::VecDeque, io, time::Duration};

use rustc_hash::FxHashMap;
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use self::{interrupts::Interrupts, looking::next_round};

use super::{
    caveats,
    credentials::Owners,
    evidence,
    failure::say,
    filter::Narrowed,
    kernel_tasks::{KernelTasks, Means},
    losses::Losses,
    pipeline::Pipeline,
    preexisting_waits::Before,
    probes,
    sampler::Lean,
    sampling_schedule::SamplingSchedule,
};
use crate::report::plural;
use forktrace_collect::{
    decode::{self, Record},
    inspect::{self, stacks::Ask},
    kernel::{self, AsyncRing, Kernel, Outcome, Ring, RunningChild},
    reorder::{ReorderBuffer, Stamped},
};
use forktrace_model::{
    event::{Body, Event, TraceEnd},
    model::{Change, Model, ProcId},
};

/// How often waits are looked at and what is due is done.
const TICK: Duration = Duration::from_millis(100);

/// How long a command may take to end after a signal that was for it too.
const FAREWELL: Duration = Duration::from_secs(1);

/// How far apart two CPUs' records may arrive out of order.
const REORDER_NS: u64 = 20_000_000;

/// How many waits are looked at closely at the same time: mostly that is waiting.
const LOOKS_AT_ONCE: usize = 32;
/// For how many of them stacks are read at the same time. That may take seconds, and other waits are
/// looked at meanwhile.
const READS_AT_ONCE: usize = 8;

/// How often memory is given back at most that reading stacks took, ns.
const GIVE_BACK_NS: u64 = 10_000_000_000;
/// How long after an answer a reader of stacks may take to free its memory.
const FREED_NS: u64 = 1_000_000_000;

/// When to stop.
#[derive(Clone, Debug, Default)]
pub(super) struct Until {
    /// After this long.
    pub(super) duration: Option<Duration>,
    /// This long after the first finding that is shown.
    pub(super) after_finding: Option<Duration>,
    /// When no traced process is alive any more.
    pub(super) targets_end: bool,
    /// A signal from the terminal is for the command too: after one, its end is waited for a moment.
    pub(super) command_hears_signals: bool,
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
    /// Whoever read the output has gone away.
    OutputClosed,
}

impl Stopped {
    fn reason(self) -> &'static str {
        match self {
            Stopped::Interrupted => "interrupted",
            Stopped::Duration => "duration",
            Stopped::TargetsEnded => caveats::TARGETS_ENDED,
            Stopped::Found => "found",
            Stopped::OutputClosed => "output closed",
        }
    }
}

/// A trace under way.
pub(super) struct Live {
    kernel: Kernel,
    ring: AsyncRing,
    order: ReorderBuffer,
    pub(super) pipeline: Pipeline,
    looks: SamplingSchedule,
    looks_running: usize,
    /// Waits that ended with their thread before they had been looked at to the end.
    gone: u64,
    /// Looks for which more is to be read, with what is to be read of native code.
    to_read: VecDeque<(evidence::Sample, Option<Ask>)>,
    reads_running: usize,
    sender: mpsc::UnboundedSender<evidence::Answer>,
    receiver: mpsc::UnboundedReceiver<evidence::Answer>,
    min_wait_ns: u64,
    trace_all: bool,
    /// The children of traced processes are traced.
    pub(super) follow: bool,
    /// Something is known to be alive that could not be put into the table of traced processes.
    unfollowed: bool,
    /// When what belongs to no child was last deleted, `CLOCK_BOOTTIME`, ns, and how many children
    /// there had been whose pages did not fit.
    swept: (u64, u64),
    child: Option<RunningChild>,
    outcome: Option<Outcome>,
    /// When that was seen, until it is known whether the child left others behind.
    left_at: Option<Instant>,
    losses: Losses,
    /// When the Python side of a process was first read, `CLOCK_BOOTTIME`, ns.
    python_reads: FxHashMap<ProcId, u64>,
    before: Before,
    /// With `--lean`: how waits are found.
    lean: Option<Lean>,
    owners: Owners,
    kernel_tasks: KernelTasks,
    pub(super) narrowed: Option<Narrowed>,
    /// When what was alive already was put into the trace, `CLOCK_BOOTTIME`, ns, until it is known
    /// whether it fits the filter.
    adopted_ns: Option<u64>,
    undecodable: u64,
    interrupts: Interrupts,
    /// Every record that is older has been taken from the ring, `CLOCK_BOOTTIME`, ns.
    drained_ns: u64,
    /// When stacks were last being read, if since memory was last given back, and when that was.
    read_ns: Option<u64>,
    given_back_ns: u64,
}

impl Live {
    /// Takes over the loaded programs, and from here on the signals that end a trace: a command may
    /// be interrupted as soon as it runs. Must be called inside the tokio runtime.
    ///
    /// # Errors
    /// When the ring buffer or signals cannot be watched.
    pub(super) fn new(
        kernel: Kernel,
        ring: Ring,
        pipeline: Pipeline,
        min_wait_ns: u64,
        trace_all: bool,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let lean = kernel.lean.then(|| Lean::new(min_wait_ns));
        Ok(Live {
            kernel,
            ring: ring.into_async()?,
            order: ReorderBuffer::new(REORDER_NS),
            pipeline,
            looks: SamplingSchedule::default(),
            looks_running: 0,
            gone: 0,
            to_read: VecDeque::new(),
            reads_running: 0,
            sender,
            receiver,
            min_wait_ns,
            trace_all,
            follow: true,
            unfollowed: false,
            swept: (0, 0),
            child: None,
            outcome: None,
            left_at: None,
            losses: Losses::default(),
            python_reads: FxHashMap::default(),
            before: Before::new(),
            lean,
            owners: Owners::default(),
            kernel_tasks: KernelTasks::default(),
            narrowed: None,
            adopted_ns: None,
            undecodable: 0,
            interrupts: Interrupts::new()?,
            drained_ns: 0,
            read_ns: None,
            given_back_ns: 0,
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

    /// How that command has ended, if it has.
    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.outcome.or_else(|| self.child.and_then(RunningChild::try_wait))
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
                () = self.interrupts.next() => {
                    if until.command_hears_signals {
                        self.follow_to_its_end().await?;
                    }
                    return Ok(Stopped::Interrupted);
                }
                () = sleep_until(end) => return Ok(Stopped::Duration),
                _ = tick.tick() => self.tick()?,
                Some(answer) = self.receiver.recv() => self.answered(answer),
                found = self.before.found() => self.found_before(found),
                round = next_round(&mut self.lean) => self.take_round(round),
                ready = self.ring.batch(|bytes| records.push(decode::decode(bytes))) => ready?,
            }
            self.take(records);
            self.drain();
            self.release()?;
            self.say_unfit();
            self.say_left_behind();
            if self.pipeline.reader_gone {
                return Ok(Stopped::OutputClosed);
            }
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

    /// After a signal: on a terminal the command has got it too, and is given a moment to end, so
    /// that its end is seen and its status known. A second signal ends forktrace.
    async fn follow_to_its_end(&mut self) -> io::Result<()> {
        kernel::restore_interrupt();
        let end = Instant::now() + FAREWELL;
        while self.child.is_some() && self.outcome.is_none() && Instant::now() < end {
            tokio::time::sleep(FAREWELL / 50).await;
            self.drain();
            self.tick()?;
        }
        Ok(())
    }

    /// Takes the records that are in the ring, at most a batch; whether none is left.
    fn drain(&mut self) -> bool {
        let before = forktrace_collect::clock::boot_ns();
        let mut records = Vec::new();
        let emptied = self.ring.drain(|bytes| records.push(decode::decode(bytes)));
        self.take(records);
        if emptied {
            self.drained_ns = before;
        }
        emptied
    }

    /// Whether every process that was traced is known to have ended.
    fn targets_ended(&mut self) -> bool {
        let child_ended = self.child.is_none() || self.outcome.is_some();
        let none_is_left = || match self.follow {
            true => everything(self.narrowed.as_ref(), &self.pipeline).live_count() == 0,
            // The ends of their children are not seen.
            false => self.kernel.maps.traced().is_empty(),
        };
        child_ended && self.order.is_empty() && none_is_left()
    }

    /// Says that the command has ended and what it left behind is still traced, once that is clear.
    fn say_left_behind(&mut self) {
        if self.left_at.take_if(|at| at.elapsed() >= FAREWELL).is_none() {
            return;
        }
        let others = everything(self.narrowed.as_ref(), &self.pipeline).live_count() as u64;
        let Some(outcome) = self.outcome.filter(|_| others > 0 && self.follow) else { return };
        let left = plural(others, "process that it left behind", "processes that it left behind");
        let goes = if others == 1 { "goes on and is" } else { "go on and are" };
        let ended = outcome.code();
        say(&format!(
            "the command has ended with status {ended}; {left} {goes} still traced: Ctrl-C ends that"
        ));
    }

    fn take(&mut self, records: Vec<Result<Record, decode::DecodeError>>) {
        for record in records {
            match record {
                Ok(Record { cpu, seq, event, leftover }) => {
                    if let (Some(leftover), Some(task)) = (leftover, &event.task) {
                        self.kernel.maps.clean(task.pid, leftover);
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

    /// Hands on every event that is old enough to be in its final order: older ones may still be in
    /// the ring, however late it is.
    fn release(&mut self) -> io::Result<()> {
        while let Some(event) = self.order.pop_ready(self.drained_ns) {
            self.deliver(event)?;
        }
        Ok(())
    }

    /// Hands an event on to the pipeline, if it is about a wanted process.
    fn hand_on(&mut self, event: &Event) -> io::Result<Vec<Change>> {
        let Some(narrowed) = &mut self.narrowed else { return self.pipeline.event(event) };
        let (changes, events) = narrowed.take(event);
        for event in &events {
            self.pipeline.event(event)?;
        }
        Ok(changes)
    }

    fn deliver(&mut self, mut event: Event) -> io::Result<()> {
        match self.kernel_tasks.take(&event) {
            Means::Process => {}
            Means::Kernel => return Ok(()),
            Means::Helper(pid) => {
                if let Ok(parent) = inspect::scan::snapshot(pid, event.boot_ns, false) {
                    self.hand_on(&parent)?;
                }
            }
        }
        if let Body::EventsLost(lost) = &mut event.body {
            lost.by_kind = self.losses.explain(lost.count, &self.kernel.maps.counters().dropped);
        }
        for change in self.hand_on(&event)? {
            if let Change::Ended(id) = change {
                self.python_reads.remove(&id);
                let Some(pid) = everything(self.narrowed.as_ref(), &self.pipeline)
                    .get(id)
                    .map(|process| process.pid)
                else {
                    continue;
                };
                // What is in the maps by this number may be of the next one by now.
                if !self.kernel.exit_tells_last_thread && !inspect::scan::lives(pid) {
                    self.forget(pid);
                }
                self.kernel.forget_locks(pid);
            }
        }
        if let Some(locks) = &self.kernel.locks {
            probes::consider(locks, &event);
        }
        self.owners.consider(&event);
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        let now = forktrace_collect::clock::boot_ns();
        if let Some(logger) = &mut self.kernel.diagnostics {
            logger.flush();
        }
        if let (Some(child), None) = (self.child, self.outcome) {
            self.outcome = child.try_wait();
            self.left_at = self.outcome.map(|_| Instant::now());
        }
        self.check_losses(now, false)?;
        self.give_back(now);
        self.look_around(now);
        let all = self.waits();
        let waits = self.long(&all, now);
        let new: Vec<Event> =
            self.looks.update(&waits).into_iter().map(|wait| self.blocked(wait, now)).collect();
        self.count_gone(&all, now);
        for event in new {
            self.order.push_unsequenced(event);
        }
        for wait in &waits {
            self.look(wait, &all, now);
        }
        let model = everything(self.narrowed.as_ref(), &self.pipeline);
        for event in self.owners.changed(now, model) {
            self.order.push_unsequenced(event);
        }
        self.release()?;
        self.pipeline.tick()
    }

    /// Gives back the memory that looks and reading stacks took, once there is none any more.
    fn give_back(&mut self, now: u64) {
        if self.reads_running > 0 || self.looks_running > 0 {
            self.read_ns = Some(now);
        }
        let due = self.given_back_ns.saturating_add(GIVE_BACK_NS) <= now;
        // A reader answers before it has freed what it read.
        let is_freed = |read_ns: u64| read_ns.saturating_add(FREED_NS) <= now;
        if due && self.read_ns.is_some_and(is_freed) {
            kernel::give_back_memory();
            (self.read_ns, self.given_back_ns) = (None, now);
        }
    }

    /// Detaches nothing yet, but takes what is still in the ring and ends the log.
    ///
    /// # Errors
    /// When the output cannot be written.
    pub(super) fn finish(&mut self, stopped: Stopped) -> io::Result<()> {
        while !self.drain() {}
        self.check_losses(forktrace_collect::clock::boot_ns(), true)?;
        for event in self.order.flush() {
            self.deliver(event)?;
        }
        let counters = self.kernel.maps.counters();
        let lost = counters.lost() + self.undecodable;
        let mut counters = counters.others;
        let now = forktrace_collect::clock::boot_ns();
        self.give_up(now);
        counters.insert("waits_left_out".into(), self.before.left_out());
        let not_looked_at = self.not_looked_at(now);
        counters.insert("waits_not_looked_at".into(), not_looked_at.waiting);
        counters.insert("waits_interrupted".into(), not_looked_at.interrupted);
        counters.insert("waits_gone_before_a_look".into(), self.gone);
        counters.insert("processes_denied".into(), self.denied());
        counters.insert("processes_of_32_bits".into(), self.owners.of_32_bits());
        if !self.follow {
            counters.insert("children_not_followed".into(), self.pipeline.model.counts().forks);
        }
        let traced_ns = self.before.searched_since().map(|since| now.saturating_sub(since));
        let traced_ns = Some(traced_ns.unwrap_or(0));
        let reason = stopped.reason().into();
        let end = TraceEnd { reason, counters, lost, traced_ns, unwritten: 0 };
        let event = Event { boot_ns: now, task: None, body: Body::TraceEnd(end) };
        self.pipeline.event(&event)?;
        self.pipeline.flush()
    }
}

/// What is known of all processes, wanted or not.
fn everything<'a>(narrowed: Option<&'a Narrowed>, pipeline: &'a Pipeline) -> &'a Model {
    narrowed.map_or(&pipeline.model, |narrowed| &narrowed.model)
}

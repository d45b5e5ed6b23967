//! The live engine: one loop that makes events of what the kernel and `/proc` show, in order, and
//! acquires evidence about long waits.
//!
//! ```text
//!  ring ─► Intake ─► deliver ─► Consumer (pipeline: model, judge, sinks)
//!           ▲  ▲                   │ models          │ conclusion
//!  /proc ───┘  │                   ▼                 ▼
//!  (Tracked)   └── evidence ◄── Waits: schedule ─► Acquisitions ◄─► Probe, on other threads
//! ```
//!
//! [`Engine`] owns one part for each concern, and each part owns its state: `Intake` (records into
//! ordered events), `Tracked` (which processes are traced, and what was lost), `Waits` (which waits are
//! sampled when, and their acquisitions), `Command`, `Memory`. It prints nothing, knows no files and no
//! flags: a [`Consumer`] takes the events.

mod acquisition;
mod adoption;
mod buffers;
mod census;
mod command;
mod consumer;
mod credentials;
mod deliver;
mod ending;
mod ends;
mod generators;
mod intake;
mod kernel_tasks;
mod later;
mod lock_observations;
mod losses;
mod lost_threads;
mod memory;
mod open_files;
mod pace;
mod resync;
mod tracked;
mod unjudged;
mod waits;

use std::{future::Future, io, sync::Arc, time::Duration};

use forktrace_model::event::EndReason;
use tokio::{
    pin,
    time::{Instant, sleep_until},
};

pub use self::{
    adoption::AdoptError,
    consumer::{Consumer, Known, Notice, Vitals},
};
use self::{
    buffers::BuffersWatch,
    command::{Command, FAREWELL},
    consumer::Models,
    generators::{Generators, Searched},
    intake::{Intake, Records},
    later::Later,
    lost_threads::LostThreadsWatch,
    memory::Memory,
    open_files::{Looked, OpenFiles},
    pace::Pace,
    tracked::Tracked,
    waits::Waits,
};
use crate::{
    clock,
    kernel::{self, Kernel, Outcome, Remains, Ring, RunningChild},
};

/// What is traced, and from when a wait is long.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    /// Every process of the host.
    pub all: bool,
    /// Children of traced processes too.
    pub follow: bool,
    /// How long a wait must last to be judged, ns.
    pub min_wait_ns: u64,
    /// The stacks of threads that a fork does not copy are read in any case.
    pub audit: bool,
}

/// When to stop.
#[derive(Clone, Copy, Debug, Default)]
pub struct Until {
    /// After this long.
    pub duration: Option<Duration>,
    /// When no traced process is alive any more.
    pub targets_end: bool,
    /// What interrupts the trace is for the command too: after it, its end is waited for a moment.
    pub command_is_interrupted: bool,
}

/// A trace under way.
pub struct Engine<C> {
    kernel: Kernel,
    intake: Intake,
    tracked: Tracked,
    waits: Waits,
    lost_threads: LostThreadsWatch,
    generators: Generators,
    later: Later,
    open_files: OpenFiles,
    buffers: BuffersWatch,
    command: Command,
    memory: Memory,
    pace: Pace,
    /// Takes the events.
    pub consumer: C,
}

impl<C: Consumer> Engine<C> {
    /// Takes over the loaded programs. Must be called inside the tokio runtime.
    ///
    /// # Errors
    /// When the ring buffer cannot be watched.
    pub fn new(mut kernel: Kernel, ring: Ring, consumer: C, scope: Scope) -> io::Result<Self> {
        Ok(Engine {
            intake: Intake::new(ring)?,
            tracked: Tracked::new(scope),
            waits: Waits::new(&kernel, &scope),
            lost_threads: LostThreadsWatch::new(
                Arc::clone(&kernel.records),
                kernel.registers.clone(),
                scope.audit,
            ),
            generators: Generators::new(),
            later: Later::new(Arc::clone(&kernel.records)),
            open_files: OpenFiles::new(),
            buffers: BuffersWatch::new(kernel.maps.take_remains()),
            command: Command::default(),
            memory: Memory::default(),
            pace: Pace::new(),
            kernel,
            consumer,
        })
    }

    /// Sets the command that was started for this trace.
    pub fn set_command(&mut self, child: RunningChild) {
        self.command.set(child);
    }

    /// That command's pid, if there is one.
    pub fn command_pid(&self) -> Option<u32> {
        self.command.pid()
    }

    /// How that command has ended, if it has.
    pub fn command_outcome(&self) -> Option<Outcome> {
        self.command.outcome()
    }

    /// Runs until something ends it: `interrupted`, or what `until` says, or the consumer.
    ///
    /// # Errors
    /// When the output cannot be written or the runtime fails.
    pub async fn run(
        &mut self,
        until: &Until,
        interrupted: impl Future<Output = ()>,
    ) -> io::Result<EndReason> {
        pin!(interrupted);
        let far = Duration::from_secs(86_400 * 365);
        let end = Instant::now() + until.duration.unwrap_or(far);
        loop {
            let mut records = Records::new();
            tokio::select! {
                biased;
                () = &mut interrupted => {
                    if until.command_is_interrupted {
                        self.await_command().await?;
                    }
                    return Ok(EndReason::Interrupted);
                }
                () = sleep_until(end) => return Ok(EndReason::Duration),
                is_due = self.pace.next() => if is_due { self.tick()? },
                report = self.waits.next() => self.take_report(report),
                done = self.lost_threads.next() => self.take_lost_threads(done),
                () = self.command.ended() => self.pace.stir(),
                searched = self.generators.next() => self.take_generators(searched),
                seen = self.later.next() => self.take_later(seen),
                looked = self.open_files.next() => self.take_open_files(looked),
                next = self.buffers.next() => match next {
                    buffers::Next::Looked(looked) => self.take_buffers(looked),
                    buffers::Next::Remains(remains) => self.take_remains(remains),
                },
                ready = self.intake.batch(&mut records) => ready?,
            }
            if !records.is_empty() {
                self.pace.stir();
            }
            self.intake.take(records, &self.kernel.maps);
            self.intake.drain(&self.kernel.maps);
            self.release()?;
            self.pace.hold(!self.intake.is_empty());
            self.notice();
            if let Some(reason) = self.consumer.wants_end() {
                return Ok(reason);
            }
            if until.targets_end && self.targets_ended() {
                return Ok(EndReason::TargetsEnded);
            }
        }
    }

    /// Gives the command, which was interrupted too, a moment to end, so that its end is seen and its
    /// status known. A second signal ends forktrace.
    async fn await_command(&mut self) -> io::Result<()> {
        kernel::restore_interrupt();
        let end = Instant::now() + FAREWELL;
        while self.command.runs() && Instant::now() < end {
            tokio::time::sleep(FAREWELL / 50).await;
            self.intake.drain(&self.kernel.maps);
            self.tick()?;
        }
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        let now_ns = clock::boot_ns();
        if let Some(logger) = &mut self.kernel.diagnostics {
            logger.flush();
        }
        self.command.check();
        self.check_losses(now_ns, false)?;
        let is_reading = self.waits.is_reading()
            || self.lost_threads.is_reading()
            || self.open_files.is_reading();
        match self.consumer.is_short_of_memory() {
            true => self.memory.give_back_now(now_ns),
            false => self.memory.give_back(now_ns, is_reading),
        }
        let models = Models::of(&self.consumer);
        for event in self.waits.tick(&self.kernel, models, now_ns) {
            self.intake.push(event);
        }
        let maps = &self.kernel.maps;
        self.lost_threads.begin(models.wanted, now_ns, || maps.waits());
        self.generators.begin(&self.kernel.records, models.wanted, now_ns);
        self.later.begin(models.wanted, now_ns);
        self.open_files.begin(models.wanted, now_ns);
        self.buffers.begin(&self.kernel.records, models.wanted, now_ns);
        for event in self.tracked.credentials.changed(now_ns, models.everything) {
            self.intake.push(event);
        }
        self.release()?;
        if self.consumer.wants_vitals() {
            let vitals = self.vitals(now_ns);
            self.consumer.vitals(vitals);
        }
        self.consumer.tick()?;
        let due_ns = self.due_ns(now_ns);
        self.pace.ticked(due_ns, now_ns);
        Ok(())
    }

    fn vitals(&mut self, now_ns: u64) -> Vitals {
        let kernel::Counters { dropped: lost, others: counters } = self.kernel.maps.counters();
        let (looking_ns, looks_ns) = self.waits.looks(now_ns);
        Vitals { lost, counters, looking_ns, looks_ns }
    }

    /// When something is due next, `CLOCK_BOOTTIME`, ns, as far as no event tells.
    fn due_ns(&self, now_ns: u64) -> Option<u64> {
        let restless = self.kernel.diagnostics.is_some()
            || self.command.is_leaving()
            || !self.consumer.may_rest();
        let due = [
            restless.then_some(now_ns),
            self.waits.due_ns(now_ns),
            self.lost_threads.next_ns(),
            self.generators.due_ns(),
            self.later.due_ns(),
            self.open_files.due_ns(),
            self.buffers.due_ns(),
            self.tracked.credentials.due_ns(),
        ];
        due.into_iter().flatten().min()
    }

    fn take_lost_threads(&mut self, done: Vec<lost_threads::Done>) {
        self.pace.stir();
        let wanted = self.consumer.known().wanted();
        for event in self.lost_threads.take(done, wanted, clock::boot_ns()) {
            self.intake.push(event);
        }
    }

    fn take_generators(&mut self, searched: Vec<Searched>) {
        self.pace.stir();
        for event in self.generators.take(searched, clock::boot_ns()) {
            self.intake.push(event);
        }
    }

    fn take_later(&mut self, seen: Vec<later::Seen>) {
        self.pace.stir();
        for event in self.later.take(seen, clock::boot_ns()) {
            self.intake.push(event);
        }
    }

    fn take_open_files(&mut self, looked: Vec<Looked>) {
        self.pace.stir();
        let wanted = self.consumer.known().wanted();
        for event in self.open_files.take(looked, wanted, clock::boot_ns()) {
            self.intake.push(event);
        }
    }

    fn take_remains(&mut self, remains: Remains) {
        self.pace.stir();
        let (pid, fork_ns) = (remains.pid, remains.fork_ns);
        let Some(end) = self.intake.ends.get(pid, fork_ns) else { return };
        if !self.buffers.begin_remains(remains, end) {
            self.intake.ends.was_read(pid, fork_ns);
        }
    }

    fn take_buffers(&mut self, looked: Vec<buffers::Looked>) {
        self.pace.stir();
        let ends = &mut self.intake.ends;
        // Of an end that was not waited for any longer nothing is told: the number may be another process's.
        let in_time = looked.into_iter().filter(|one| {
            one.ended_ns.is_none() || ends.was_read(one.subject.pid, one.subject.fork_ns).is_some()
        });
        let looked = in_time.collect();
        for event in self.buffers.take(looked, clock::boot_ns()) {
            self.intake.push(event);
        }
    }

    fn take_report(&mut self, report: waits::Report) {
        let now_ns = clock::boot_ns();
        let models = Models::of(&self.consumer);
        for event in self.waits.take(report, &mut self.kernel.maps, models, now_ns) {
            self.intake.push(event);
        }
        match self.waits.is_calm() {
            true => self.pace.expect(self.due_ns(now_ns), now_ns),
            false => self.pace.stir(),
        }
    }

    /// Whether every process that was traced is known to have ended.
    fn targets_ended(&self) -> bool {
        let none_is_left = || match self.tracked.scope.follow {
            true => self.consumer.known().everything().live_count() == 0,
            // The ends of their children are not seen.
            false => self.kernel.maps.traced().is_empty(),
        };
        !self.command.runs() && self.intake.is_empty() && none_is_left()
    }

    /// Hands on what has become known of the trace itself.
    fn notice(&mut self) {
        if self.tracked.is_adopted(&self.intake) {
            self.consumer.notice(Notice::Adopted);
        }
        let Some(outcome) = self.command.left() else { return };
        let processes = self.consumer.known().everything().live_count() as u64;
        if processes > 0 && self.tracked.scope.follow {
            self.consumer.notice(Notice::LeftBehind { status: outcome.code(), processes });
        }
    }
}

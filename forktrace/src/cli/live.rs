//! A live trace as the command line watches it.

use std::{io, time::Duration};

use tokio::time::Instant;

use super::{
    failure::{Failure, say},
    interrupts::Interrupts,
    sinks::Outputs,
};
use crate::{
    pipeline::{Pipeline, Sink, filter::Narrowed},
    report::{filter, plural},
};
use forktrace_collect::{
    engine::{Consumer, Engine, Known, Notice, Scope, Until},
    kernel::{self, Kernel, Ring},
};
use forktrace_model::{
    event::{EndReason, Event},
    judge::{Conclusion, Judge, Unaccounted},
    model::{Change, Model, ProcId},
};

/// The engine with the command line's outputs.
pub(super) type Live<S = Outputs> = Engine<Watched<S>>;

/// A sink of a live trace.
pub(super) trait Watches: Sink {
    /// Whether there was a finding that is shown.
    fn has_found(&self, judge: &Judge) -> bool;

    /// Whether it is enough to ask once a second whether nobody reads the output any more.
    fn may_rest(&self) -> bool {
        true
    }

    /// Says something about the trace as a whole.
    fn say(&mut self, message: &str) {
        say(message);
    }
}

impl Watches for Outputs {
    fn has_found(&self, judge: &Judge) -> bool {
        self.visible.counted(judge).next().is_some()
    }
}

/// Traces: puts everything together, lets `begin` put processes into the trace, and runs until what
/// `until` says. `over` is called then, and `end` gets the engine after its last event.
///
/// # Errors
/// When the output cannot be written, or the runtime fails.
pub(super) fn run<S: Watches, T>(
    (kernel, ring): (Kernel, Ring),
    watched: Watched<S>,
    scope: Scope,
    until: &Until,
    begin: impl FnOnce(&mut Live<S>) -> Result<(), Failure>,
    over: impl FnOnce(),
    end: impl FnOnce(Live<S>, EndReason) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        // From here on: a command may be interrupted as soon as it runs.
        let mut interrupts = Interrupts::new()?;
        let mut live = Engine::new(kernel, ring, watched, scope)?;
        begin(&mut live)?;
        let reason = live.run(until, interrupts.next()).await?;
        over();
        kernel::restore_interrupt();
        live.finish(reason)?;
        live.consumer.pipeline.end()?;
        end(live, reason)
    });
    // A thread that reads a process may never end.
    runtime.shutdown_background();
    result
}

/// The pipeline of a live trace.
pub(super) struct Watched<S = Outputs> {
    pub(super) pipeline: Pipeline<S>,
    /// How long to go on after the first finding that is shown.
    after_finding: Option<Duration>,
    found_at: Option<Instant>,
}

impl<S: Watches> Watched<S> {
    /// `after_finding`: stop so long after the first finding that is shown.
    pub(super) fn new(pipeline: Pipeline<S>, after_finding: Option<Duration>) -> Self {
        Watched { pipeline, after_finding, found_at: None }
    }

    /// Whether there was a finding, long enough ago.
    fn has_found(&mut self) -> bool {
        let Some(delay) = self.after_finding else { return false };
        if self.found_at.is_none() && self.pipeline.sink.has_found(self.pipeline.judge()) {
            self.found_at = Some(Instant::now());
        }
        self.found_at.is_some_and(|found_at| found_at + delay <= Instant::now())
    }
}

impl<S: Sink> Known for Pipeline<S> {
    fn everything(&self) -> &Model {
        Pipeline::everything(self)
    }

    fn wanted(&self) -> &Model {
        self.model()
    }

    fn conclusion(&self, process: ProcId, wait: (u32, u64)) -> Option<Conclusion> {
        self.judge().conclusion(process, wait)
    }

    fn is_open(&self, process: ProcId, wait: (u32, u64)) -> bool {
        self.judge().is_open(process, wait)
    }

    fn unjudged(&self) -> Vec<Unaccounted> {
        self.unaccounted().0
    }
}

impl<S: Watches> Consumer for Watched<S> {
    type Known = Pipeline<S>;

    fn event(&mut self, event: &Event) -> io::Result<Vec<Change>> {
        self.pipeline.event(event)
    }

    fn known(&self) -> &Self::Known {
        &self.pipeline
    }

    fn tick(&mut self) -> io::Result<()> {
        self.pipeline.tick()
    }

    fn may_rest(&self) -> bool {
        self.after_finding.is_none() && self.pipeline.sink.may_rest()
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Adopted => {
                if let Some(unfit) = self.pipeline.filter().and_then(Narrowed::unfit) {
                    let text = filter::unfit(&unfit);
                    self.pipeline.sink.say(&text);
                }
            }
            Notice::LeftBehind { status, processes } => {
                let left = plural(
                    processes,
                    "process of it still runs and is",
                    "processes of it still run and are",
                );
                self.pipeline.sink.say(&format!(
                    "the command ended with status {status}; {left} traced until you press Ctrl-C"
                ));
            }
        }
    }

    fn wants_end(&mut self) -> Option<EndReason> {
        if self.pipeline.sink.is_gone() {
            return Some(EndReason::OutputClosed);
        }
        self.has_found().then_some(EndReason::Found)
    }
}

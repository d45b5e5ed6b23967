//! A live trace as the command line watches it.

use std::{io, time::Duration};

use tokio::time::Instant;

use super::{
    failure::{Failure, say},
    interrupts::Interrupts,
    sinks::Outputs,
};
use crate::{
    pipeline::{Pipeline, Sink as _, filter::Narrowed},
    report::{filter, plural},
};
use forktrace_collect::{
    engine::{Consumer, Engine, Notice, Scope, Until},
    kernel::{self, Kernel, Ring},
};
use forktrace_model::{
    event::{EndReason, Event},
    judge::{Conclusion, Unaccounted},
    model::{Change, Model, ProcId},
};

/// The engine with the command line's outputs.
pub(super) type Live = Engine<Watched>;

/// Traces: puts everything together, lets `begin` put processes into the trace, and runs until what
/// `until` says. `over` is called then, and `end` gets the engine after its last event.
///
/// # Errors
/// When the output cannot be written, or the runtime fails.
pub(super) fn run<T>(
    (kernel, ring): (Kernel, Ring),
    watched: Watched,
    scope: Scope,
    until: &Until,
    begin: impl FnOnce(&mut Live) -> Result<(), Failure>,
    over: impl FnOnce(),
    end: impl FnOnce(Live, EndReason) -> Result<T, Failure>,
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
pub(super) struct Watched {
    pub(super) pipeline: Pipeline<Outputs>,
    /// How long to go on after the first finding that is shown.
    after_finding: Option<Duration>,
    found_at: Option<Instant>,
}

impl Watched {
    /// `after_finding`: stop so long after the first finding that is shown.
    pub(super) fn new(pipeline: Pipeline<Outputs>, after_finding: Option<Duration>) -> Self {
        Watched { pipeline, after_finding, found_at: None }
    }

    /// Whether there was a finding, long enough ago.
    fn has_found(&mut self) -> bool {
        let Some(delay) = self.after_finding else { return false };
        let mut counted = self.pipeline.sink.visible.counted(self.pipeline.judge());
        if self.found_at.is_none() && counted.next().is_some() {
            self.found_at = Some(Instant::now());
        }
        self.found_at.is_some_and(|found_at| found_at + delay <= Instant::now())
    }
}

impl Consumer for Watched {
    fn event(&mut self, event: &Event) -> io::Result<Vec<Change>> {
        self.pipeline.event(event)
    }

    fn everything(&self) -> &Model {
        self.pipeline.everything()
    }

    fn wanted(&self) -> &Model {
        self.pipeline.model()
    }

    fn conclusion(&self, process: ProcId, wait: (u32, u64)) -> Option<Conclusion> {
        self.pipeline.judge().conclusion(process, wait)
    }

    fn is_open(&self, process: ProcId, wait: (u32, u64)) -> bool {
        self.pipeline.judge().is_open(process, wait)
    }

    fn unjudged(&self) -> Vec<Unaccounted> {
        self.pipeline.unaccounted().0
    }

    fn tick(&mut self) -> io::Result<()> {
        self.pipeline.tick()
    }

    fn may_rest(&self) -> bool {
        self.after_finding.is_none()
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Adopted => {
                if let Some(unfit) = self.pipeline.filter().and_then(Narrowed::unfit) {
                    say(&filter::unfit(&unfit));
                }
            }
            Notice::LeftBehind { status, processes } => {
                let left = plural(
                    processes,
                    "process of it still runs and is",
                    "processes of it still run and are",
                );
                say(&format!(
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

//! The consumer of a service: its pipeline, and what changes while it runs.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    archive::Archive,
    config::{Config, Source},
};
use crate::{
    cli::failure::Failure,
    pipeline::{At, Follow, Pipeline, Sink},
    serve::{
        Exporter, Service,
        journal::{Journal, Level},
        on_finding::{self, OnFinding, Program},
        otlp::{self, Otlp},
        queue::Counts,
        systemd,
    },
};
use forktrace_collect::{
    clock,
    engine::{Consumer, Notice, Vitals},
};
use forktrace_model::{
    event::{EndReason, Event},
    finding::Finding,
    hazards::Reason,
    model::Change,
};

/// How long a service that is stopped waits for who takes its findings.
const FAREWELL: Duration = Duration::from_secs(3);

/// Where events and findings go.
pub(super) struct Sinks {
    pub(super) service: Service,
    pub(super) archive: Option<Archive>,
}

impl Sink for Sinks {
    fn needs_identity(&self) -> bool {
        self.archive.is_some()
    }

    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        self.archive.event(at)?;
        self.service.event(at)
    }

    fn finding(&mut self, finding: &Finding, at: &At<'_>) -> io::Result<()> {
        self.archive.finding(finding, at)?;
        self.service.finding(finding, at)
    }

    fn no_finding(&mut self, reason: Reason, at: &At<'_>) -> io::Result<()> {
        self.service.no_finding(reason, at)
    }

    fn settled(&mut self, follow: &Follow) -> io::Result<()> {
        self.archive.settled(follow)
    }

    fn tick(&mut self, follow: &Follow) -> io::Result<()> {
        self.archive.tick(follow)?;
        self.service.tick(follow)
    }

    fn end(&mut self, follow: &Follow) -> io::Result<()> {
        self.archive.end(follow)?;
        self.service.end(follow)
    }
}

/// A program, and for how long it may run.
type Command = (Program, Duration);
/// Whatever gets findings.
type Outlets = Vec<Box<dyn Exporter>>;

/// The exporters: one that stays as it was goes on with what is in its queue, and what was counted stays.
#[derive(Debug, Default)]
pub(super) struct Exporters {
    command: Arc<Counts>,
    commands: Option<(Command, OnFinding)>,
    otlp: Arc<Counts>,
    sends: Option<(otlp::Settings, Otlp)>,
}

impl Exporters {
    /// Starts those that are configured, and closes those that are not any more.
    pub(super) fn start(&mut self, config: &Config, journal: &Journal) -> io::Result<Outlets> {
        let commands = match (config.on_finding(), &self.commands) {
            (None, _) => None,
            (Some(wanted), Some((is, queue))) if wanted == *is => Some((wanted, queue.clone())),
            (Some(wanted), _) => {
                let (program, limit) = wanted.clone();
                let counts = Arc::clone(&self.command);
                Some((wanted, on_finding::start(program, limit, journal.clone(), counts)?))
            }
        };
        let sends = match (config.otlp(), &self.sends) {
            (None, _) => None,
            (Some(wanted), Some((is, queue))) if wanted == is => Some((is.clone(), queue.clone())),
            (Some(wanted), _) => {
                let counts = Arc::clone(&self.otlp);
                let offset_ns = clock::clock_offset_ns();
                let queue = otlp::start(wanted.clone(), journal.clone(), counts, offset_ns)?;
                Some((wanted.clone(), queue))
            }
        };
        // All of it could be started.
        if let Some((_, before)) = self.sends.take().filter(|(is, _)| config.otlp() != Some(is)) {
            before.close();
        }
        (self.commands, self.sends) = (commands, sends);
        let mut outlets = Outlets::new();
        if let Some((_, program)) = &self.commands {
            outlets.push(Box::new(program.clone()));
        }
        if let Some((_, otlp)) = &self.sends {
            outlets.push(Box::new(otlp.clone()));
        }
        Ok(outlets)
    }

    /// Waits a moment for what is in the queues.
    fn flush(&self, journal: &Journal) {
        let began = Instant::now();
        let queues = [&*self.command, &*self.otlp, &**journal.counts()];
        let left = || queues.iter().map(|counts| Counts::get(&counts.queued)).sum::<u64>();
        while left() > 0 && began.elapsed() < FAREWELL {
            std::thread::sleep(FAREWELL / 100);
        }
    }
}

/// The pipeline of a service.
pub(super) struct Served {
    pipeline: Pipeline<Sinks>,
    source: Source,
    config: Config,
    exporters: Exporters,
    hangup: Arc<AtomicBool>,
}

impl Served {
    pub(super) fn new(
        pipeline: Pipeline<Sinks>,
        source: Source,
        config: Config,
        exporters: Exporters,
    ) -> Self {
        let hangup = Arc::new(AtomicBool::new(false));
        Served { pipeline, source, config, exporters, hangup }
    }

    /// Set when the configuration is to be read again.
    pub(super) fn hangup(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.hangup)
    }

    /// Writes out everything, after the last event.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.pipeline.end()?;
        self.exporters.flush(self.pipeline.sink.service.journal());
        Ok(())
    }

    /// Reads the configuration again, and takes all of it or nothing.
    fn reload(&mut self) -> io::Result<()> {
        systemd::reloading();
        match self.reread() {
            Ok((config, exporters)) => {
                self.apply(config, exporters)?;
                let service = &self.pipeline.sink.service;
                service.journal().say(Level::Info, "the configuration was read again");
            }
            Err(failure) => {
                let service = &self.pipeline.sink.service;
                service.refuse_reload();
                let text = format!("the configuration stays as it was: {failure}");
                service.journal().say(Level::Error, text);
            }
        }
        systemd::ready(&self.pipeline.sink.service.status());
        Ok(())
    }

    fn reread(&mut self) -> Result<(Config, Outlets), Failure> {
        let config = self.source.read()?;
        let fixed = config.fixed_changes(&self.config);
        if !fixed.is_empty() {
            let keys = fixed.join(", ");
            return Err(Failure::Usage(format!("a change of {keys} needs a restart")));
        }
        let journal = self.pipeline.sink.service.journal();
        let exporters = self.exporters.start(&config, journal)?;
        Ok((config, exporters))
    }

    fn apply(&mut self, config: Config, exporters: Outlets) -> io::Result<()> {
        if config.filter != self.config.filter {
            self.pipeline.set_filter(config.filter.clone(), clock::boot_ns())?;
        }
        let (sinks, follow, narrowed) = self.pipeline.parts();
        sinks.service.set_exporters(exporters);
        if let (Some(archive), Some(limits)) = (&mut sinks.archive, config.archive()) {
            archive.keep_newest(limits.recordings);
        }
        let leaves_out = |pid| narrowed.is_some_and(|narrowed| narrowed.leaves_out(pid));
        sinks.service.reload(config.settings.clone(), follow, leaves_out);
        self.config = config;
        Ok(())
    }
}

impl Consumer for Served {
    type Known = Pipeline<Sinks>;

    fn event(&mut self, event: &Event) -> io::Result<Vec<Change>> {
        self.pipeline.event(event)
    }

    fn known(&self) -> &Self::Known {
        &self.pipeline
    }

    fn tick(&mut self) -> io::Result<()> {
        if self.hangup.swap(false, Ordering::Relaxed) {
            self.reload()?;
        }
        if self.pipeline.sink.service.is_slow_due() {
            let (sinks, follow, _) = self.pipeline.parts();
            let (_, counts) = follow.judge().unaccounted(follow.model());
            sinks.service.set_not_judged(&counts);
        }
        self.pipeline.tick()
    }

    fn wants_vitals(&self) -> bool {
        self.pipeline.sink.service.wants_vitals()
    }

    fn vitals(&mut self, vitals: Vitals) {
        let sinks = &mut self.pipeline.sink;
        let unwritten = sinks.archive.as_ref().map_or(0, Archive::unwritten);
        sinks.service.vitals(&vitals, unwritten);
    }

    fn is_short_of_memory(&mut self) -> bool {
        self.pipeline.sink.service.is_short_of_memory()
    }

    fn notice(&mut self, notice: Notice) {
        if notice == Notice::Adopted {
            let service = &self.pipeline.sink.service;
            service.set_ready();
            service.journal().say(Level::Info, "attached to this host");
            systemd::ready(&service.status());
        }
    }

    fn wants_end(&mut self) -> Option<EndReason> {
        None
    }
}

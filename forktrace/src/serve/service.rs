//! Events and findings in, metrics and reports out.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use forktrace_collect::{clock, doctor, engine::Vitals};
use forktrace_model::{
    event::{Body, Event, Unjudged},
    finding::{Confidence, Finding, Severity},
    hazards::Reason,
    judge::Judged,
    model::{ProcId, Process},
};
use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{
    alert::Alert,
    board::Board,
    journal::{self, Journal, Level, Line, Summary},
    memory::Memory,
    metrics::{How, Labels, Metrics, Shape},
    open::{Open, Over, is_open},
    queue::Counts,
    systemd,
    throttle::{Decision, Limits, Throttle},
};
use crate::{
    pipeline::{At, Follow, Sink},
    report::{Clock, count, duration, plural},
};

/// How often what is slow to find out is found out.
const SLOWLY: Duration = Duration::from_secs(10);
/// How often all else is.
const OFTEN: Duration = Duration::from_secs(1);

/// What can be changed while the service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Report suspects too.
    pub suspects: bool,
    /// How often findings are reported.
    pub limits: Limits,
    /// The metrics of findings.
    pub shape: Shape,
    /// Resident memory that the service keeps below, bytes.
    pub memory_limit: u64,
}

/// Something that findings are handed to. Nothing of it may wait.
pub trait Exporter: fmt::Debug {
    /// Its name in metrics.
    fn name(&self) -> &'static str;

    /// What became of what was handed to it.
    fn counts(&self) -> &Counts;

    /// Takes a finding.
    fn report(&self, alert: &Arc<Alert>);

    /// Takes that a finding is over, how, and after how many ns.
    fn over(&self, _alert: &Arc<Alert>, _how: How, _lasted_ns: u64) {}
}

/// The sink of a service.
#[derive(Debug)]
pub struct Service {
    settings: Settings,
    board: Arc<Board>,
    metrics: Metrics,
    open: Open,
    throttle: Throttle,
    journal: Journal,
    exporters: Vec<Box<dyn Exporter>>,
    memory: Memory,
    clock: Clock,
    vitals_at: Option<Instant>,
    often_at: Option<Instant>,
    slowly_at: Option<Instant>,
    lost: u64,
    /// Something about the findings that stand has changed.
    stale: bool,
}

impl Service {
    /// `build`: labels that name this program. `offset_ns`: see [`Clock`].
    pub fn new(settings: Settings, build: Labels, journal: Journal, offset_ns: i64) -> Self {
        let (metrics, registry) = Metrics::new(settings.shape.clone(), build);
        Service {
            board: Arc::new(Board::new(registry)),
            metrics,
            open: Open::default(),
            throttle: Throttle::new(settings.limits, Instant::now()),
            journal,
            exporters: Vec::new(),
            memory: Memory::new(settings.memory_limit),
            clock: Clock { offset_ns, zone: jiff::tz::TimeZone::UTC },
            vitals_at: None,
            often_at: None,
            slowly_at: None,
            lost: 0,
            stale: false,
            settings,
        }
    }

    /// What requests are answered from.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Where the service writes its lines.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Hands findings to these from here on.
    pub fn set_exporters(&mut self, exporters: Vec<Box<dyn Exporter>>) {
        self.exporters = exporters;
    }

    /// What the host lets forktrace do.
    pub fn set_capabilities(&self, checks: &[doctor::Check]) {
        for check in checks {
            let value = match check.status {
                doctor::Status::Ok => 1.0,
                doctor::Status::Limited => 0.5,
                doctor::Status::Missing => 0.0,
            };
            self.metrics.set_capability(check.name, value);
        }
    }

    /// All that was alive at the attach is traced.
    pub fn set_ready(&self) {
        self.board.set_ready();
    }

    /// Takes other settings. `leaves_out`: processes that a new filter leaves out.
    pub fn reload(
        &mut self,
        settings: Settings,
        follow: &Follow,
        leaves_out: impl Fn(u32) -> bool,
    ) {
        self.throttle.set_limits(settings.limits);
        self.memory.set_limit(settings.memory_limit);
        self.metrics.set_shape(settings.shape.clone());
        self.metrics.set_reloaded(true);
        self.settings = settings;
        self.open.forget(&leaves_out);
        let open = follow.judge().findings().iter().filter(|one| is_open(one, follow.model()));
        let new: Vec<&Judged> = open
            .filter(|judged| !leaves_out(judged.finding.subject.pid))
            .filter(|judged| !self.open.has(&(judged.process, judged.finding.key())))
            .collect();
        for judged in new {
            self.found(&judged.finding, judged.process, judged.since_ns, follow, clock::boot_ns());
        }
        self.stale = true;
    }

    /// Another configuration was not taken.
    pub fn refuse_reload(&self) {
        self.metrics.set_reloaded(false);
    }

    /// Whether the state of the engine is to be read.
    pub fn wants_vitals(&self) -> bool {
        self.vitals_at.is_none_or(|at| at.elapsed() >= OFTEN)
    }

    /// Takes it. `unwritten`: lines that could not be recorded.
    pub fn vitals(&mut self, vitals: &Vitals, unwritten: u64) {
        self.vitals_at = Some(Instant::now());
        self.board.turned(clock::boot_ns(), vitals.looking_ns.unwrap_or(0));
        let now = jiff::Timestamp::now().as_millisecond() as f64 / 1e3;
        self.metrics.set_vitals(vitals, unwritten, now);
        let lost: u64 = vitals.lost.values().sum();
        if lost > 0 && self.lost == 0 {
            let text =
                "events were lost: what is found may be incomplete (forktrace_events_lost_total)";
            self.journal.say(Level::Warning, text);
        }
        self.lost = lost;
    }

    /// Whether memory is short, so that what can be read again is to be given back.
    pub fn is_short_of_memory(&mut self) -> bool {
        let (limited, changed) = self.memory.check();
        if changed {
            self.metrics.set_limited(limited);
            let (level, what) = match limited {
                true => (Level::Warning, "is near its limit: what was cached is given back"),
                false => (Level::Info, "is below its limit again"),
            };
            self.journal.say(level, format!("memory {what} (--memory-limit)"));
        }
        limited
    }

    /// Waits about which nothing can be said. Not cheap: asked for where [`Service::is_slow_due`].
    pub fn set_not_judged(&mut self, counts: &FxHashMap<Unjudged, u64>) {
        self.slowly_at = Some(Instant::now());
        self.metrics.set_not_judged(counts);
    }

    /// Whether it is time for [`Service::set_not_judged`].
    pub fn is_slow_due(&self) -> bool {
        self.slowly_at.is_none_or(|at| at.elapsed() >= SLOWLY)
    }

    fn is_shown(&self, finding: &Finding) -> bool {
        self.settings.suspects || finding.confidence > Confidence::Suspect
    }

    fn found(
        &mut self,
        finding: &Finding,
        process: ProcId,
        since_ns: u64,
        follow: &Follow,
        boot_ns: u64,
    ) {
        let subject = (process, finding.key());
        // The judge counts a stall from when it was read. A surer finding is about the same wait.
        let before_ns = finding.stall().map_or(0, |stall| stall.waited_ns);
        let known_ns = self.open.since_ns(&subject);
        let since_ns = known_ns.unwrap_or_else(|| since_ns.saturating_sub(before_ns));
        let mut alert = Alert::new(finding, process, since_ns, follow, &self.clock, boot_ns);
        let now = Instant::now();
        self.metrics.found(&alert, self.board.reads(), now);
        self.stale = true;
        if self.is_shown(finding) {
            match self.throttle.decide(alert.fault, finding.confidence, &alert.text, now) {
                Decision::Report { held_back } => {
                    (alert.held_back, alert.reported) = (held_back, true);
                    let alert = Arc::new(alert);
                    self.open.insert(subject, Arc::clone(&alert));
                    self.report(&alert);
                    return;
                }
                Decision::HoldBack => self.metrics.held_back(false),
                Decision::Flood => self.metrics.held_back(true),
            }
        }
        self.open.insert(subject, Arc::new(alert));
    }

    fn report(&self, alert: &Arc<Alert>) {
        let more = match alert.held_back {
            0 => String::new(),
            more => format!(
                " ({} of this fault since it was last reported)",
                plural(more, "more finding", "more findings")
            ),
        };
        self.journal.write(Line {
            event: journal::Event::Finding,
            finding: Some(Summary::of(alert)),
            ..Line::new(Level::of(alert.judged.confidence), format!("{}{more}", alert.text))
        });
        self.exporters.iter().for_each(|exporter| exporter.report(alert));
    }

    fn over(&mut self, over: &Over) {
        let Over { alert, how, lasted_ns } = over;
        self.stale = true;
        if alert.severity != Severity::Hang {
            return;
        }
        self.metrics.ended(alert, *how, *lasted_ns, self.board.reads(), Instant::now());
        if !alert.reported {
            return;
        }
        let finding = &alert.finding;
        let text = format!(
            "{}[{}] is stuck no more after {} ({}); it was {} {}",
            finding.comm,
            finding.pid,
            duration(*lasted_ns),
            how.name(),
            finding.confidence,
            finding.kind
        );
        self.journal.write(Line {
            event: journal::Event::FindingEnded,
            finding: Some(Summary::of(alert)),
            ..Line::new(Level::Info, text)
        });
        self.exporters.iter().for_each(|exporter| exporter.over(alert, *how, *lasted_ns));
    }

    fn often(&mut self, follow: &Follow) {
        let (now, now_ns) = (Instant::now(), clock::boot_ns());
        self.often_at = Some(now);
        for over in self.open.settle(follow, now_ns) {
            self.over(&over);
        }
        let (rests, flood) = self.throttle.due(now);
        for rest in rests {
            let more = plural(rest.held_back, "more finding", "more findings");
            let text = format!("{more} of this fault since it was reported: {}", rest.text);
            let event = journal::Event::HeldBack;
            self.journal.write(Line { event, ..Line::new(Level::Warning, text) });
        }
        if flood > 0 {
            let text = format!(
                "{} findings were counted and not reported: too many in a minute \
                 (--max-findings-per-minute)",
                count(flood)
            );
            let event = journal::Event::HeldBack;
            self.journal.write(Line { event, ..Line::new(Level::Warning, text) });
        }
        let all = self.open.all();
        let hangs = all.iter().filter(|alert| alert.severity == Severity::Hang);
        let hangs = hangs.map(|alert| (&***alert, now_ns.saturating_sub(alert.since_ns)));
        self.metrics.set_open(hangs);
        let model = follow.model();
        let at_risk = model.living().filter(|process| process.inherited().is_some()).count();
        let forks = model.counts().forks;
        self.metrics.set_processes(model.live_count() as u64, at_risk as u64, forks);
        for exporter in &self.exporters {
            self.metrics.set_export(exporter.name(), exporter.counts());
        }
        self.metrics.set_lines(self.journal.counts());
        self.metrics.tick(self.board.reads(), now);
        if self.stale || !all.is_empty() {
            self.board.set_findings(self.findings(&all, now_ns));
        }
        if self.stale && self.board.is_ready() {
            systemd::status(&self.status());
        }
        self.stale = false;
        systemd::alive(&self.board);
    }

    /// One sentence on what is found now.
    pub fn status(&self) -> String {
        let hangs = |alert: &&&Arc<Alert>| {
            alert.severity == Severity::Hang && alert.judged.confidence > Confidence::Suspect
        };
        match self.open.all().iter().filter(hangs).count() {
            0 => "attached; nothing hangs, as far as is known".into(),
            stuck => plural(stuck as u64, "finding of a hang stands", "findings of hangs stand"),
        }
    }

    fn findings(&self, all: &[&Arc<Alert>], now_ns: u64) -> String {
        #[derive(Serialize)]
        struct Standing<'a> {
            #[serde(flatten)]
            alert: &'a Alert,
            seconds: u64,
        }
        #[derive(Serialize)]
        struct Findings<'a> {
            findings: Vec<Standing<'a>>,
        }
        let shown = all.iter().filter(|alert| self.is_shown(&alert.judged));
        let findings = shown.map(|alert| Standing {
            alert,
            seconds: now_ns.saturating_sub(alert.since_ns) / 1_000_000_000,
        });
        let text = serde_json::to_string(&Findings { findings: findings.collect() });
        text.map(|text| text + "\n").unwrap_or_default()
    }

    fn since_ns(finding: &Finding, follow: &Follow, event: &Event) -> u64 {
        let known = follow.judge().findings().iter().rev();
        let mut known = known.filter(|judged| judged.finding.key() == finding.key());
        known
            .find(|judged| judged.finding.subject.pid == finding.subject.pid)
            .map_or(event.boot_ns, |judged| judged.since_ns)
    }
}

impl Sink for Service {
    fn event(&mut self, at: &At<'_>) -> io::Result<()> {
        self.metrics.event(at.event.body.type_name());
        if let Body::TraceEnd(_) = at.event.body {
            systemd::stopping();
        }
        Ok(())
    }

    fn finding(&mut self, finding: &Finding, at: &At<'_>) -> io::Result<()> {
        self.metrics.judged(true);
        let process = at.follow.model().latest(finding.subject.pid);
        let Some(process) = process.map(|process: &Process| process.id).or(at.step.process) else {
            return Ok(());
        };
        let since_ns = Service::since_ns(finding, at.follow, at.event);
        self.found(finding, process, since_ns, at.follow, at.event.boot_ns);
        Ok(())
    }

    fn no_finding(&mut self, _: Reason, _: &At<'_>) -> io::Result<()> {
        self.metrics.judged(false);
        Ok(())
    }

    fn tick(&mut self, follow: &Follow) -> io::Result<()> {
        if self.often_at.is_none_or(|at| at.elapsed() >= OFTEN) || self.stale {
            self.often(follow);
        }
        Ok(())
    }

    fn end(&mut self, follow: &Follow) -> io::Result<()> {
        self.often(follow);
        Ok(())
    }
}

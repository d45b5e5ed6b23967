//! The metrics of a service.
//!
//! No label has a pid, a thread, an address or a container: their number grows without end. What a label may
//! have at most is bounded ([`Caps`]), and series of programs in which nothing hangs any more go.

mod own;
mod series;
#[cfg(test)]
mod tests;
mod text;
mod update;

use std::{
    collections::BTreeSet,
    sync::atomic::AtomicU64,
    time::{Duration, Instant},
};

use forktrace_model::{
    event::{Counter as Counted, Unjudged},
    hazards::HAZARDS,
};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use rustc_hash::FxHashMap;

use self::series::{Counters, Gauges, Growing, Seconds, set_all};
pub use self::{
    series::{Caps, Labels, OTHER},
    text::Format,
};
use super::{alert::Alert, workload::Workload};
use crate::report::logged;
use forktrace_collect::engine::Vitals;

/// Limits of the buckets of how long a hang lasted, s.
const LASTED: [f64; 6] = [1.0, 10.0, 60.0, 600.0, 3_600.0, 86_400.0];
/// Limits of the buckets of how long a look at processes took, s.
const LOOKED: [f64; 7] = [0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0];

/// Every confidence: its counters are there from the start, for each hazard.
const CONFIDENCES: [&str; 3] = ["certain", "likely", "suspect"];

/// A label of the metrics of findings that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// Name of the program.
    Executable,
    /// Name of the process.
    Comm,
    /// Its cgroup.
    Cgroup,
    /// Its user.
    Uid,
}

impl Label {
    /// All of them.
    pub const ALL: [Label; 4] = [Label::Executable, Label::Comm, Label::Cgroup, Label::Uid];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Label::Executable => "executable",
            Label::Comm => "comm",
            Label::Cgroup => "cgroup",
            Label::Uid => "uid",
        }
    }

    fn value(self, workload: &Workload) -> String {
        match self {
            Label::Executable => workload.executable.clone(),
            Label::Comm => workload.comm.clone(),
            Label::Cgroup => workload.cgroup.clone().unwrap_or_default(),
            Label::Uid => workload.uid.map(|uid| uid.to_string()).unwrap_or_default(),
        }
    }
}

/// Which labels, how many values of each, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The labels of findings' metrics beside kind and confidence.
    pub labels: Vec<Label>,
    /// Most values of a label.
    pub most_values: usize,
    /// Counters for which nothing was counted for this long go.
    pub ttl: Duration,
}

/// How a hang ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The wait ended, and the process lives.
    Released,
    /// The process was killed by a signal.
    Killed,
    /// The process ended by itself.
    Exited,
    /// The process runs another program now.
    Execed,
    /// Its end was not seen.
    Unknown,
}

impl How {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            How::Released => "released",
            How::Killed => "killed",
            How::Exited => "exited",
            How::Execed => "exec",
            How::Unknown => "unknown",
        }
    }
}

/// What the service sets. Encoding takes each only for a moment.
#[derive(Debug)]
pub struct Metrics {
    shape: Shape,
    caps: Caps,
    findings: Growing,
    ended: Growing,
    hung: Gauges,
    oldest: Seconds,
    open_before: BTreeSet<Labels>,
    lasted: Histogram,
    judged: Counters,
    not_judged: Gauges,
    forks: Counter,
    processes: Gauges,
    events: Counters,
    lost: Counters,
    untracked: Counters,
    pages: Counters,
    looked: Histogram,
    last_judged: Gauge<f64, AtomicU64>,
    limited: Gauge,
    overflow: Counters,
    held_back: Counters,
    handed_on: Counters,
    queued: Gauges,
    lines_lost: Counter,
    reloaded: Gauge,
    capabilities: Seconds,
}

/// Totals that others count: what a counter lacks is added.
fn raise(family: &Counters, labels: Labels, total: u64) {
    let counter = family.get_or_create(&labels);
    let missing = total.saturating_sub(counter.get());
    counter.inc_by(missing);
}

/// One label.
fn one(label: &'static str, value: &str) -> Labels {
    vec![(label, value.to_owned())]
}

impl Metrics {
    /// Registers all of them.
    pub fn new(shape: Shape, build: Labels) -> (Self, Registry) {
        let histogram = |limits: &[f64]| Histogram::new(limits.iter().copied());
        let metrics = Metrics {
            caps: Caps::new(shape.most_values),
            shape,
            findings: Growing::default(),
            ended: Growing::default(),
            hung: Gauges::default(),
            oldest: Seconds::default(),
            open_before: BTreeSet::new(),
            lasted: histogram(&LASTED),
            judged: Counters::default(),
            not_judged: Gauges::default(),
            forks: Counter::default(),
            processes: Gauges::default(),
            events: Counters::default(),
            lost: Counters::default(),
            untracked: Counters::default(),
            pages: Counters::default(),
            looked: histogram(&LOOKED),
            last_judged: Gauge::default(),
            limited: Gauge::default(),
            overflow: Counters::default(),
            held_back: Counters::default(),
            handed_on: Counters::default(),
            queued: Gauges::default(),
            lines_lost: Counter::default(),
            reloaded: Gauge::default(),
            capabilities: Seconds::default(),
        };
        metrics.begin();
        let mut registry = Registry::default();
        metrics.register(&mut registry, build);
        (metrics, registry)
    }

    /// Series with known labels are there from the start.
    fn begin(&self) {
        for kind in HAZARDS.iter().map(|hazard| hazard.id()) {
            for confidence in CONFIDENCES {
                let mut labels = one("kind", &logged::kind(kind));
                labels.push(("confidence", confidence.to_owned()));
                drop(self.findings.family.get_or_create(&labels));
                drop(self.hung.get_or_create(&labels));
                drop(self.oldest.get_or_create(&labels));
            }
        }
        for verdict in ["finding", "none"] {
            drop(self.judged.get_or_create(&one("verdict", verdict)));
        }
        for reason in ["ring_full", "not_run", "disk"] {
            drop(self.lost.get_or_create(&one("reason", reason)));
        }
        for table in UNTRACKED {
            drop(self.untracked.get_or_create(&one("table", table.1)));
        }
        for result in ["kept", "refused"] {
            drop(self.pages.get_or_create(&one("result", result)));
        }
        for reason in ["repeat", "flood"] {
            drop(self.held_back.get_or_create(&one("reason", reason)));
        }
        for label in &self.shape.labels {
            drop(self.overflow.get_or_create(&one("label", label.name())));
        }
        self.reloaded.set(1);
    }

    fn register(&self, registry: &mut Registry, build: Labels) {
        let info = Family::<Labels, Gauge>::default();
        info.get_or_create(&build).set(1);
        let up: Gauge = Gauge::default();
        up.set(1);
        registry.register_collector(Box::new(own::Own));
        let to = registry.sub_registry_with_prefix("forktrace");
        to.register("build_info", "Version and kind of this forktrace", info);
        to.register("up", "forktrace runs", up);
        to.register(
            "findings",
            "Findings; a new series is 0 until it was read once",
            self.findings.family.clone(),
        );
        to.register("hung_processes", "Processes that hang now", self.hung.clone());
        to.register(
            "oldest_hang_seconds",
            "For how long the one that hangs longest has been stuck",
            self.oldest.clone(),
        );
        to.register("hang_ended", "Hangs that are over, by how", self.ended.family.clone());
        to.register("hang_duration_seconds", "How long hangs lasted", self.lasted.clone());
        to.register("waits_judged", "Judgements of what was read", self.judged.clone());
        to.register(
            "waits_not_judged",
            "Waits about which nothing can be said, by why",
            self.not_judged.clone(),
        );
        to.register("forks", "Forks with a copy of the memory", self.forks.clone());
        to.register("processes", "Living processes", self.processes.clone());
        to.register("events", "Events, by type", self.events.clone());
        to.register("events_lost", "Events that were lost, by why", self.lost.clone());
        self.register_own(to);
    }

    /// Those of the service itself.
    fn register_own(&self, to: &mut Registry) {
        to.register(
            "table_overflows",
            "What did not fit in a table in the kernel",
            self.untracked.clone(),
        );
        to.register("snapshot_pages", "Memory pages of children", self.pages.clone());
        to.register(
            "look_duration_seconds",
            "How long looks at processes took",
            self.looked.clone(),
        );
        to.register(
            "last_judged_timestamp_seconds",
            "When waits were last looked for, seconds since 1970",
            self.last_judged.clone(),
        );
        to.register(
            "memory_limited",
            "1 while forktrace is near its memory limit and does less",
            self.limited.clone(),
        );
        to.register("label_overflow", "Label values that became ~other", self.overflow.clone());
        to.register(
            "findings_held_back",
            "Findings that were counted and not reported, by why",
            self.held_back.clone(),
        );
        to.register("export_records", "Findings handed on", self.handed_on.clone());
        to.register("export_queue_records", "Findings to be handed on", self.queued.clone());
        to.register("log_lines_lost", "Lines not written to stderr", self.lines_lost.clone());
        to.register(
            "config_last_reload_successful",
            "1 unless the last reload was refused",
            self.reloaded.clone(),
        );
        to.register(
            "capability_info",
            "What this host lets forktrace do: 1 all, 0.5 less, 0 nothing",
            self.capabilities.clone(),
        );
    }
}

/// Tables of the kernel that may be full.
const UNTRACKED: [(Counted, &str); 4] = [
    (Counted::ChildrenUntracked, "children_at_risk"),
    (Counted::ProcessesUntraced, "processes"),
    (Counted::WaitsUntracked, "waits"),
    (Counted::LockCallsUntracked, "locks"),
];

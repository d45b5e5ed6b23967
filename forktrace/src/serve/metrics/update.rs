//! Setting the metrics.

use super::*;
use crate::serve::queue::Counts;

impl Metrics {
    /// Labels of a finding, with the values that are let through.
    fn labels(&mut self, alert: &Alert, with: &[(&'static str, &str)]) -> Labels {
        let mut labels: Labels =
            with.iter().map(|(name, value)| (*name, (*value).into())).collect();
        for label in &self.shape.labels {
            let (name, overflow) = (label.name(), &self.overflow);
            let value = self.caps.value(name, &label.value(&alert.workload), |label| {
                overflow.get_or_create(&one("label", label)).inc();
            });
            labels.push((name, value));
        }
        labels
    }

    /// There is a new finding, or a surer one. `reads`: how often the metrics have been read.
    pub fn found(&mut self, alert: &Alert, reads: u64, now: Instant) {
        let finding = &alert.finding;
        let mut with = vec![("kind", &*finding.kind), ("confidence", &*finding.confidence)];
        if !alert.lock_kind().is_empty() {
            with.push(("lock_kind", alert.lock_kind()));
        }
        let labels = self.labels(alert, &with);
        self.findings.count(labels, reads, now);
    }

    /// A hang is over, after so many ns.
    pub fn ended(&mut self, alert: &Alert, how: How, lasted_ns: u64, reads: u64, now: Instant) {
        let with = [("kind", &*alert.finding.kind), ("how", how.name())];
        let labels = self.labels(alert, &with);
        self.ended.count(labels, reads, now);
        self.lasted.observe(seconds(lasted_ns));
    }

    /// What hangs now, each with how long it has, ns.
    pub fn set_open<'a>(&mut self, open: impl Iterator<Item = (&'a Alert, u64)>) {
        let mut all: FxHashMap<Labels, (BTreeSet<u32>, u64)> = FxHashMap::default();
        for (alert, lasted_ns) in open {
            let finding = &alert.finding;
            let with = [("kind", &*finding.kind), ("confidence", &*finding.confidence)];
            let labels = self.labels(alert, &with);
            let (pids, oldest_ns) = all.entry(labels).or_default();
            pids.insert(finding.pid);
            *oldest_ns = lasted_ns.max(*oldest_ns);
        }
        let mut before = self.open_before.clone();
        let hung = all.iter().map(|(labels, (pids, _))| (labels.clone(), pids.len() as i64));
        set_all(&self.hung, &mut before, hung, |gauge, n| _ = gauge.set(n));
        let oldest = all.into_iter().map(|(labels, (_, ns))| (labels, seconds(ns)));
        set_all(&self.oldest, &mut self.open_before, oldest, |gauge, s| _ = gauge.set(s));
    }

    /// Something was judged.
    pub fn judged(&self, is_finding: bool) {
        let verdict = if is_finding { "finding" } else { "none" };
        self.judged.get_or_create(&one("verdict", verdict)).inc();
    }

    /// An event came.
    pub fn event(&self, type_name: &'static str) {
        self.events.get_or_create(&one("type", type_name)).inc();
    }

    /// Waits about which nothing can be said, by why.
    pub fn set_not_judged(&self, counts: &FxHashMap<Unjudged, u64>) {
        for (why, name) in NOT_JUDGED {
            let count = counts.get(&why).copied().unwrap_or(0);
            self.not_judged.get_or_create(&one("reason", name)).set(whole(count));
        }
    }

    /// How many processes live, how many of them may hang on something inherited, and how many forks there
    /// were.
    pub fn set_processes(&self, alive: u64, at_risk: u64, forks: u64) {
        self.processes.get_or_create(&one("state", "traced")).set(whole(alive));
        self.processes.get_or_create(&one("state", "at_risk")).set(whole(at_risk));
        self.forks.inc_by(forks.saturating_sub(self.forks.get()));
    }

    /// The state of the engine. `unwritten`: lines that could not be recorded; `now`: seconds since 1970.
    pub fn set_vitals(&self, vitals: &Vitals, unwritten: u64, now: f64) {
        let not_run = vitals.lost.get("not_run").copied().unwrap_or(0);
        let lost: u64 = vitals.lost.values().sum();
        raise(&self.lost, one("reason", "ring_full"), lost.saturating_sub(not_run));
        raise(&self.lost, one("reason", "not_run"), not_run);
        raise(&self.lost, one("reason", "disk"), unwritten);
        let counter = |counter| vitals.counters.get(&counter).copied().unwrap_or(0);
        for (table, name) in UNTRACKED {
            raise(&self.untracked, one("table", name), counter(table));
        }
        raise(&self.pages, one("result", "kept"), counter(Counted::PagesKept));
        raise(&self.pages, one("result", "refused"), counter(Counted::PagesRefused));
        vitals.looks_ns.iter().for_each(|ns| self.looked.observe(seconds(*ns)));
        self.last_judged.set(now);
    }

    /// A finding was counted and not reported.
    pub fn held_back(&self, is_flood: bool) {
        let reason = if is_flood { "flood" } else { "repeat" };
        self.held_back.get_or_create(&one("reason", reason)).inc();
    }

    /// What became of what was handed to an exporter.
    pub fn set_export(&self, exporter: &'static str, counts: &Counts) {
        let labels =
            |result: &str| vec![("exporter", exporter.to_owned()), ("result", result.to_owned())];
        raise(&self.handed_on, labels("sent"), Counts::get(&counts.sent));
        raise(&self.handed_on, labels("failed"), Counts::get(&counts.failed));
        raise(&self.handed_on, labels("dropped"), Counts::get(&counts.dropped));
        let queued = whole(Counts::get(&counts.queued));
        self.queued.get_or_create(&one("exporter", exporter)).set(queued);
    }

    /// Lines that were not written.
    pub fn set_lines(&self, counts: &Counts) {
        let lost = Counts::get(&counts.dropped) + Counts::get(&counts.failed);
        self.lines_lost.inc_by(lost.saturating_sub(self.lines_lost.get()));
    }

    /// Whether forktrace is near its memory limit.
    pub fn set_limited(&self, limited: bool) {
        self.limited.set(i64::from(limited));
    }

    /// Whether the last reload was taken.
    pub fn set_reloaded(&self, taken: bool) {
        self.reloaded.set(i64::from(taken));
    }

    /// What a check of the host says.
    pub fn set_capability(&self, check: &str, value: f64) {
        self.capabilities.get_or_create(&one("check", check)).set(value);
    }

    /// Takes another shape for series that are to come.
    pub fn set_shape(&mut self, shape: Shape) {
        self.caps.set_most(shape.most_values);
        self.shape = shape;
    }

    /// Counts what was held back, and drops series that are over.
    pub fn tick(&mut self, reads: u64, now: Instant) {
        let ttl = self.shape.ttl;
        let dropped = [&mut self.findings, &mut self.ended].map(|all| all.tick(reads, ttl, now));
        if dropped.contains(&true) {
            let counters = self.findings.labels().chain(self.ended.labels());
            self.caps.keep(counters.chain(&self.open_before));
        }
    }
}

const NOT_JUDGED: [(Unjudged, &str); 9] = [
    (Unjudged::ForkUnseen, "fork_unseen"),
    (Unjudged::Polls, "polls"),
    (Unjudged::UnknownLock, "unknown_lock"),
    (Unjudged::Unreadable, "unreadable"),
    (Unjudged::Undecided, "undecided"),
    (Unjudged::NobodySeen, "nobody_seen"),
    (Unjudged::WakersUnknown, "wakers_unknown"),
    (Unjudged::Stopped, "stopped"),
    (Unjudged::Busy, "busy"),
];

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

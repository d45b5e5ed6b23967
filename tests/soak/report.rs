//! The soak's table and result.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{growth::Trend, load::Found, sample::Sample};

pub(crate) const HEAD: &str =
    "   time  RSS KiB  fds  threads  eBPF  maps KiB  entries  own CPU  events/s  lost";

pub(crate) fn row(sample: &Sample) -> String {
    format!(
        "{:6.0}s {:8} {:4} {:8} {:5} {:9} {:8} {:7.1}% {:9.0} {:5}",
        sample.at_s,
        sample.rss_kib,
        sample.descriptors,
        sample.threads,
        sample.bpf_objects,
        sample.map_kib,
        sample.all_entries(),
        sample.cpu_percent,
        sample.events_per_s,
        sample.lost
    )
}

/// The figures after the warm-up.
pub(crate) fn table(trends: &[Trend]) -> String {
    let mut text = String::from(
        "| After the warm-up | least | mean | most | lows rise in an hour | tolerated | |\n\
         |---|--:|--:|--:|--:|--:|---|\n",
    );
    for trend in trends {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.1} | {:.0} | {:+.1} ± {:.1} | {:.1} | {} |",
            trend.name,
            trend.least,
            trend.mean,
            trend.most,
            trend.rise_per_hour,
            trend.error_per_hour,
            trend.tolerance,
            if trend.grows { "GROWS" } else { "no growth" }
        );
    }
    text
}

/// The samples of a run as [`Result::json`] wrote them.
pub(crate) fn samples(text: &str) -> anyhow::Result<Vec<Sample>> {
    let value: Value = serde_json::from_str(text)?;
    let samples = value["samples"].as_array().context("no samples")?;
    let read = |sample: &Value| {
        let number = |name: &str| sample[name].as_u64();
        let entries = sample["entries"].as_object()?.iter();
        Some(Sample {
            at_s: sample["at_s"].as_f64()?,
            rss_kib: number("rss_kib")?,
            descriptors: number("descriptors")?,
            threads: number("threads")?,
            bpf_objects: number("bpf_objects")?,
            map_kib: number("map_kib")?,
            entries: entries.filter_map(|(name, n)| Some((name.clone(), n.as_u64()?))).collect(),
            cpu_percent: sample["cpu_percent"].as_f64()?,
            events_per_s: sample["events_per_s"].as_f64()?,
            lost: number("lost")?,
        })
    };
    samples.iter().map(|sample| read(sample).context("a sample lacks something")).collect()
}

/// All that was measured.
pub(crate) struct Result {
    pub(crate) minutes: u64,
    pub(crate) samples: Vec<Sample>,
    pub(crate) trends: Vec<Trend>,
    pub(crate) found: Found,
}

impl Result {
    pub(crate) fn is_good(&self) -> bool {
        let found = &self.found;
        found.missed.is_empty()
            && found.false_alarms.is_empty()
            && !self.trends.iter().any(|trend| trend.grows)
    }

    /// As it is printed.
    pub(crate) fn text(&self) -> String {
        let mut text = table(&self.trends);
        let events: f64 = self.samples.iter().map(|sample| sample.events_per_s).sum();
        let found = &self.found;
        let _ = writeln!(
            text,
            "\n{} minutes, {:.0} events a second, {} events lost; {} programs run; {} hangs, of \
             which {} were missed; {} false alarms; {} findings about other processes of the host",
            self.minutes,
            events / self.samples.len().max(1) as f64,
            self.samples.last().map_or(0, |sample| sample.lost),
            found.runs,
            found.hangs,
            found.missed.len(),
            found.false_alarms.len(),
            found.foreign
        );
        for (what, which) in [("missed", &found.missed), ("false alarm", &found.false_alarms)] {
            for one in which {
                let _ = writeln!(text, "{what}: {one}");
            }
        }
        text
    }

    pub(crate) fn json(&self) -> serde_json::Result<String> {
        let sample = |sample: &Sample| {
            json!({
                "at_s": sample.at_s,
                "rss_kib": sample.rss_kib,
                "descriptors": sample.descriptors,
                "threads": sample.threads,
                "bpf_objects": sample.bpf_objects,
                "map_kib": sample.map_kib,
                "entries": sample.entries,
                "cpu_percent": sample.cpu_percent,
                "events_per_s": sample.events_per_s,
                "lost": sample.lost,
            })
        };
        let trend = |trend: &Trend| {
            json!({
                "name": trend.name,
                "least": trend.least,
                "mean": trend.mean,
                "most": trend.most,
                "rise_per_hour": trend.rise_per_hour,
                "error_per_hour": trend.error_per_hour,
                "tolerance": trend.tolerance,
                "grows": trend.grows,
            })
        };
        serde_json::to_string_pretty(&json!({
            "minutes": self.minutes,
            "good": self.is_good(),
            "programs_run": self.found.runs,
            "hangs": self.found.hangs,
            "missed": self.found.missed,
            "false_alarms": self.found.false_alarms,
            "foreign_findings": self.found.foreign,
            "trends": self.trends.iter().map(trend).collect::<Vec<_>>(),
            "samples": self.samples.iter().map(sample).collect::<Vec<_>>(),
        }))
    }
}

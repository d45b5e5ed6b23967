//! The text of all metrics, as a scraper reads it.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::serve::{otlp::tests::alert, queue::Counts};

fn shape() -> Shape {
    let labels = vec![Label::Executable];
    Shape { labels, most_values: 2, ttl: Duration::from_secs(3600) }
}

fn lines(registry: &Registry) -> Vec<String> {
    let text = Format::Prometheus.text(registry).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn all_series_with_known_labels_are_there_from_the_start() {
    let (_metrics, registry) = Metrics::new(shape(), vec![("version", "1".into())]);
    let lines = lines(&registry);
    for line in [
        "forktrace_up 1",
        "forktrace_build_info{version=\"1\"} 1",
        "forktrace_findings_total{kind=\"inherited-lock\",confidence=\"certain\"} 0",
        "forktrace_findings_total{kind=\"shared-descriptor\",confidence=\"suspect\"} 0",
        "forktrace_events_lost_total{reason=\"ring_full\"} 0",
        "forktrace_label_overflow_total{label=\"executable\"} 0",
        "forktrace_config_last_reload_successful 1",
        "# TYPE forktrace_findings_total counter",
    ] {
        assert!(lines.iter().any(|known| known == line), "{line} is missing in {lines:#?}");
    }
    for line in lines.iter().filter(|line| !line.starts_with('#')) {
        for label in ["pid=", "tid=", "address=", "container"] {
            assert!(!line.contains(label), "{line}");
        }
    }
    let described = |line: &&String| line.starts_with("# HELP forktrace_");
    assert!(lines.iter().filter(described).count() >= 15, "{lines:#?}");
}

#[test]
fn a_hang_from_its_begin_to_its_end() {
    let (mut metrics, registry) = Metrics::new(shape(), Vec::new());
    let now = Instant::now();
    let mut alert = (*alert()).clone();
    alert.workload.executable = "evil\n\"name\"\\".into();
    metrics.found(&alert, 0, now);
    metrics.set_open([(&alert, 5_000_000_000)].into_iter());
    metrics.tick(1, now);
    let text = lines(&registry).join("\n");
    let labels = "executable=\"evil\\n\\\"name\\\"\\\\\"";
    let has = |text: &str, name: &str, value: &str| {
        let mut lines = text.lines().filter(|line| line.starts_with(name));
        lines.any(|line| line.contains(labels) && line.ends_with(value))
    };
    assert!(has(&text, "forktrace_findings_total", " 1"), "{text}");
    assert!(has(&text, "forktrace_hung_processes", " 1"), "{text}");
    assert!(has(&text, "forktrace_oldest_hang_seconds", " 5.0"), "{text}");
    metrics.ended(&alert, How::Killed, 70_000_000_000, 1, now);
    metrics.set_open(std::iter::empty());
    metrics.tick(2, now);
    let text = lines(&registry).join("\n");
    assert!(!has(&text, "forktrace_hung_processes", ""), "{text}");
    assert!(!has(&text, "forktrace_oldest_hang_seconds", ""), "{text}");
    assert!(text.contains("how=\"killed\""), "{text}");
    assert!(text.contains("forktrace_hang_duration_seconds_bucket{le=\"600.0\"} 1"), "{text}");
    metrics.tick(3, now + Duration::from_secs(3600));
    let text = lines(&registry).join("\n");
    assert!(!text.contains("evil"), "what is over goes: {text}");
}

#[test]
fn programs_beyond_the_bound_are_one_and_counted() {
    let (mut metrics, registry) = Metrics::new(shape(), Vec::new());
    let alert = alert();
    let named = |name: &str| {
        let mut alert = (*alert).clone();
        alert.workload.executable = name.into();
        alert
    };
    for name in ["a", "b", "c", "d", "a"] {
        metrics.found(&named(name), 0, Instant::now());
    }
    metrics.tick(1, Instant::now());
    let text = lines(&registry).join("\n");
    let series = text.lines().filter(|line| line.contains("executable=\"~other\"")).count();
    assert!(series == 1 && text.contains("executable=\"a\"") && !text.contains("\"c\""), "{text}");
    assert!(text.contains("forktrace_label_overflow_total{label=\"executable\"} 2"), "{text}");
}

#[test]
fn totals_of_others_only_grow() {
    let (metrics, registry) = Metrics::new(shape(), Vec::new());
    let counts = Counts::default();
    Counts::add(&counts.sent, 3);
    metrics.set_export("otlp", &counts);
    metrics.set_export("otlp", &counts);
    metrics.set_processes(7, 2, 9);
    let text = lines(&registry).join("\n");
    let line = "forktrace_export_records_total{exporter=\"otlp\",result=\"sent\"} 3";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("forktrace_processes{state=\"at_risk\"} 2"), "{text}");
    assert!(text.contains("forktrace_forks_total 9"), "{text}");
}

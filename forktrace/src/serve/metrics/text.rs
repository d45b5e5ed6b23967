//! The two text formats of Prometheus.

use std::fmt;

use prometheus_client::{encoding::text::encode, registry::Registry};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text 0.0.4, which every scraper reads.
    Prometheus,
}

impl Format {
    /// The one that a client asks for (`Accept` of HTTP). Prometheus names OpenMetrics if it reads it.
    pub fn accepted(accept: &str) -> Self {
        match accept.contains("application/openmetrics-text") {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// All metrics of a registry.
    ///
    /// # Errors
    /// When a collector fails.
    pub fn text(self, registry: &Registry) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, registry)?;
        Ok(match self {
            Format::OpenMetrics => text,
            Format::Prometheus => prometheus(&text),
        })
    }
}

/// OpenMetrics names a counter without `_total` in its description; the older format names the series.
/// Units and the last line are unknown to the older one.
fn prometheus(open: &str) -> String {
    let counters: Vec<&str> = open
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let described = ["# HELP ", "# TYPE "].iter().find_map(|what| {
            let (name, rest) = line.strip_prefix(what)?.split_once(' ')?;
            counters.contains(&name).then(|| format!("{what}{name}_total {rest}"))
        });
        text.push_str(described.as_deref().unwrap_or(line));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_the_series() {
        let open = "# HELP a_things Things.\n# TYPE a_things counter\na_things_total{b=\"c\"} 1\n\
                    # HELP d_seconds D.\n# TYPE d_seconds gauge\n# UNIT d_seconds seconds\n\
                    d_seconds 2.5\n# EOF\n";
        let wanted = "# HELP a_things_total Things.\n# TYPE a_things_total counter\n\
                      a_things_total{b=\"c\"} 1\n# HELP d_seconds D.\n# TYPE d_seconds gauge\n\
                      d_seconds 2.5\n";
        assert_eq!(prometheus(open), wanted);
        assert_eq!(Format::accepted("application/openmetrics-text;q=0.9"), Format::OpenMetrics);
        assert_eq!(Format::accepted("*/*"), Format::Prometheus);
    }
}

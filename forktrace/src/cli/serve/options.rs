//! The configuration of a service, in one layer: as flags and environment have it, or a file.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    cli::args::{FilterArgs, values},
    serve::{http::Address, journal, metrics::Label, on_finding::Program},
};

/// A value that is written as text, and kept as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written<T> {
    text: String,
    pub(super) value: T,
}

/// What is read from text.
pub(super) trait Read: Sized {
    fn read(text: &str) -> Result<Self, String>;
}

impl<T: Read> FromStr for Written<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Written { value: T::read(text)?, text: text.to_owned() })
    }
}

impl<T> Serialize for Written<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, T: Read> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|why| de::Error::custom(format!("`{}`: {why}", text.escape_debug())))
    }
}

impl<T> fmt::Display for Written<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Read for Duration {
    fn read(text: &str) -> Result<Self, String> {
        values::duration(text)
    }
}

/// Bytes of pages that children inherit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SnapshotLimit(pub(super) u64);

impl Read for SnapshotLimit {
    fn read(text: &str) -> Result<Self, String> {
        values::snapshot_limit(text).map(SnapshotLimit)
    }
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory(pub(super) u64);

impl Read for Memory {
    fn read(text: &str) -> Result<Self, String> {
        values::memory(text).map(Memory)
    }
}

/// Bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileSize(pub(super) u64);

impl Read for FileSize {
    fn read(text: &str) -> Result<Self, String> {
        values::rotate_size(text).map(FileSize)
    }
}

impl Read for Address {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

impl Read for Program {
    fn read(text: &str) -> Result<Self, String> {
        text.parse()
    }
}

impl Read for Label {
    fn read(text: &str) -> Result<Self, String> {
        let known = Label::ALL.into_iter().find(|label| label.name() == text);
        known.ok_or_else(|| format!("the labels are {}", Label::ALL.map(Label::name).join(", ")))
    }
}

/// How lines on stderr look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogFormat {
    /// One line of text.
    Text,
    /// One JSON object a line.
    Json,
    /// Text with a priority in front, for journald.
    Journald,
}

impl From<LogFormat> for journal::Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => journal::Format::Text,
            LogFormat::Json => journal::Format::Json,
            LogFormat::Journald => journal::Format::Journald,
        }
    }
}

/// When a recording is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RecordOn {
    /// Around each finding that is reported.
    Finding,
}

/// The options of a service; absent: not said in this layer. The keys of the file have these names.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[command(
    next_help_heading = "Options, with the variable FORKTRACE_NAME and the key of the same name"
)]
pub(super) struct Options {
    /// Only processes with this name and their children; a list, as all lists with commas
    #[arg(long, env = "FORKTRACE_COMM", value_delimiter = ',', value_name = "GLOB")]
    pub(super) comm: Option<Vec<String>>,

    /// Only processes of this user and their children
    #[arg(long, env = "FORKTRACE_UID", value_delimiter = ',', value_name = "UID")]
    pub(super) uid: Option<Vec<String>>,

    /// Only processes in this cgroup or below it
    #[arg(long, env = "FORKTRACE_CGROUP", value_delimiter = ',', value_name = "PATH")]
    pub(super) cgroup: Option<Vec<String>>,

    /// Only processes of this container (first digits of its id)
    #[arg(long, env = "FORKTRACE_CONTAINER", value_delimiter = ',', value_name = "ID")]
    pub(super) container: Option<Vec<String>>,

    /// Not processes with this name; their children are judged by their own names
    #[arg(long, env = "FORKTRACE_EXCLUDE_COMM", value_delimiter = ',', value_name = "GLOB")]
    pub(super) exclude_comm: Option<Vec<String>>,

    /// Not processes in this cgroup or below it
    #[arg(long, env = "FORKTRACE_EXCLUDE_CGROUP", value_delimiter = ',', value_name = "PATH")]
    pub(super) exclude_cgroup: Option<Vec<String>>,

    /// Judge a wait when it has lasted this long [default: 1s]
    #[arg(long, env = "FORKTRACE_MIN_WAIT", value_name = "TIME")]
    pub(super) min_wait: Option<Written<Duration>>,

    /// See each futex wait and wake; makes every system call of the host slower
    #[arg(long, env = "FORKTRACE_EXACT", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_name = "BOOL")]
    pub(super) exact: Option<bool>,

    /// Use at most this much memory for the pages that children inherit [default: 128M]
    #[arg(long, env = "FORKTRACE_SNAPSHOT_LIMIT", value_name = "SIZE")]
    pub(super) snapshot_limit: Option<Written<SnapshotLimit>>,

    /// Also report low-confidence findings (suspects)
    #[arg(long, env = "FORKTRACE_SUSPECTS", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", value_name = "BOOL")]
    pub(super) suspects: Option<bool>,

    /// Answer HTTP requests here: ADDRESS:PORT, unix:/PATH or none [default: 127.0.0.1:9842]
    #[arg(long, env = "FORKTRACE_LISTEN", value_name = "ADDR")]
    pub(super) listen: Option<Written<Address>>,

    /// Labels of the metrics of findings: executable, comm, cgroup, uid [default: executable]
    #[arg(long, env = "FORKTRACE_LABEL", value_delimiter = ',', value_name = "LABEL")]
    pub(super) label: Option<Vec<Written<Label>>>,

    /// A label has at most so many values; the others are ~other [default: 50]
    #[arg(long, env = "FORKTRACE_MAX_LABEL_VALUES", value_name = "N")]
    pub(super) max_label_values: Option<u32>,

    /// Drop the counters of a program without a finding for this long [default: 1h]
    #[arg(long, env = "FORKTRACE_METRICS_TTL", value_name = "TIME")]
    pub(super) metrics_ttl: Option<Written<Duration>>,

    /// Report one fault again at most this often [default: 1h]
    #[arg(long, env = "FORKTRACE_REPEAT", value_name = "TIME")]
    pub(super) repeat: Option<Written<Duration>>,

    /// Report at most so many findings in a minute; the others are counted [default: 60]
    #[arg(long, env = "FORKTRACE_MAX_FINDINGS_PER_MINUTE", value_name = "N")]
    pub(super) max_findings_per_minute: Option<u32>,

    /// Give back caches when 80 % of this much memory is used [default: 256M]
    #[arg(long, env = "FORKTRACE_MEMORY_LIMIT", value_name = "SIZE")]
    pub(super) memory_limit: Option<Written<Memory>>,

    /// How lines on stderr look [default: journald if that reads them, otherwise text]
    #[arg(long, env = "FORKTRACE_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,

    /// Run this program for each finding that is reported; it gets JSON on stdin (no shell)
    #[arg(long, env = "FORKTRACE_ON_FINDING", value_name = "CMD")]
    pub(super) on_finding: Option<Written<Program>>,

    /// End that program after this time [default: 30s]
    #[arg(long, env = "FORKTRACE_ON_FINDING_TIMEOUT", value_name = "TIME")]
    pub(super) on_finding_timeout: Option<Written<Duration>>,

    /// Keep what was recorded around: finding
    #[arg(long, env = "FORKTRACE_RECORD_ON", value_enum, value_name = "WHAT")]
    pub(super) record_on: Option<RecordOn>,

    /// Record in this folder [default: /var/lib/forktrace]
    #[arg(long, env = "FORKTRACE_RECORD_DIR", value_name = "DIR")]
    pub(super) record_dir: Option<PathBuf>,

    /// Keep at least this long before a finding, and as long after it [default: 5m]
    #[arg(long, env = "FORKTRACE_RECORD_TIME", value_name = "TIME")]
    pub(super) record_time: Option<Written<Duration>>,

    /// A file of a recording has at most this size [default: 64M]
    #[arg(long, env = "FORKTRACE_RECORD_SIZE", value_name = "SIZE")]
    pub(super) record_size: Option<Written<FileSize>>,

    /// Keep the recordings of the newest N findings [default: 20]
    #[arg(long, env = "FORKTRACE_RECORD_KEEP", value_name = "N")]
    pub(super) record_keep: Option<u32>,

    /// Send findings as OTLP logs to this URL (http/protobuf) [default: OTEL_EXPORTER_OTLP_ENDPOINT]
    #[arg(long, env = "FORKTRACE_OTLP_ENDPOINT", value_name = "URL")]
    pub(super) otlp_endpoint: Option<String>,
}

impl Options {
    /// The defaults, as text where they are to be shown.
    pub(super) const DEFAULTS: [(&'static str, &'static str); 17] = [
        ("min-wait", "1s"),
        ("exact", "false"),
        ("snapshot-limit", "128M"),
        ("suspects", "false"),
        ("listen", "127.0.0.1:9842"),
        ("label", "executable"),
        ("max-label-values", "50"),
        ("metrics-ttl", "1h"),
        ("repeat", "1h"),
        ("max-findings-per-minute", "60"),
        ("memory-limit", "256M"),
        ("log-format", "text, or journald where that reads stderr"),
        ("on-finding-timeout", "30s"),
        ("record-dir", "/var/lib/forktrace"),
        ("record-time", "5m"),
        ("record-size", "64M"),
        ("record-keep", "20"),
    ];

    /// Where to listen unless something is said.
    pub(super) fn default_address() -> Address {
        Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 9842)))
    }

    /// Which processes.
    pub(super) fn filter(&self) -> FilterArgs {
        let list = |values: &Option<Vec<String>>| values.clone().unwrap_or_default();
        FilterArgs {
            comm: list(&self.comm),
            uid: list(&self.uid),
            cgroup: list(&self.cgroup),
            container: list(&self.container),
            exclude_comm: list(&self.exclude_comm),
            exclude_cgroup: list(&self.exclude_cgroup),
        }
    }
}

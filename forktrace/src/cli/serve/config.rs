//! The configuration of a service: a file, below the environment, below flags.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::parser::ValueSource;
use serde::Deserialize as _;
use toml::Table;

use super::{
    archive,
    options::{Options, RecordOn, Written},
};
use crate::{
    cli::{
        Cli,
        failure::{Failure, cause},
        filter, usage,
    },
    pipeline::filter::Filter,
    serve::{
        Settings,
        http::Address,
        journal,
        metrics::{Label, Shape},
        on_finding::Program,
        otlp,
        throttle::Limits,
    },
};

/// The file that is read if it is there and none was named.
const FILE: &str = "/etc/forktrace/forktrace.toml";
/// The most bytes of a file: it is read by a privileged process.
const LARGEST: u64 = 1 << 20;
/// Most values of a label.
const MOST_VALUES: u32 = 10_000;
/// What cannot be changed while the service runs.
const FIXED: [&str; 9] = [
    "min-wait",
    "exact",
    "snapshot-limit",
    "listen",
    "log-format",
    "record-on",
    "record-dir",
    "record-time",
    "record-size",
];

/// Where the configuration comes from: enough to read it again.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Flags and environment.
    flags: Options,
    /// A file that must be there.
    named: Option<PathBuf>,
}

/// What is in force.
#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) options: Options,
    pub(super) filter: Option<Filter>,
    pub(super) settings: Settings,
    otlp: Option<otlp::Settings>,
    /// As one table, and which of its keys are of the file.
    table: Table,
    of_file: Table,
}

/// Options as a table: what is not said is not there.
fn table(options: &Options) -> Result<Table, Failure> {
    Table::try_from(options).map_err(|error| usage(&error.to_string()))
}

impl Source {
    /// `named`: a file that must be there.
    pub(super) fn new(flags: Options, named: Option<PathBuf>) -> Self {
        Source { flags, named }
    }

    /// The file that is read, if one is.
    pub(super) fn file(&self) -> Option<PathBuf> {
        self.named.clone().or_else(|| Path::new(FILE).exists().then(|| FILE.into()))
    }

    /// Reads all of it.
    pub(super) fn read(&self) -> Result<Config, Failure> {
        let of_file = self.file().as_deref().map(read_file).transpose()?.unwrap_or_default();
        let mut all = of_file.clone();
        all.extend(table(&self.flags)?);
        // Each layer was understood by itself.
        let options = Options::deserialize(all.clone()).map_err(|error| usage(error.message()))?;
        let filter = filter::filter(&options.filter())?;
        let settings = settings(&options)?;
        let endpoint = options.otlp_endpoint.as_deref();
        let otlp = otlp::Settings::new(endpoint, |name| std::env::var(name).ok());
        let otlp = otlp.map_err(|why| usage(&why))?;
        Ok(Config { options, filter, settings, otlp, table: all, of_file })
    }
}

/// The keys of a file.
fn read_file(path: &Path) -> Result<Table, Failure> {
    let cannot = |cause: String| Failure::CannotRead { path: path.to_owned(), cause };
    let size = std::fs::metadata(path).map_err(|error| cannot(cause(&error)))?.len();
    if size > LARGEST {
        return Err(cannot(cause(&io::Error::from_raw_os_error(libc::EFBIG))));
    }
    let text = std::fs::read_to_string(path).map_err(|error| cannot(cause(&error)))?;
    let wrong = |error: &toml::de::Error| {
        let line = error.span().map(|span| text.get(..span.start).unwrap_or_default());
        let line = line.map_or(1, |before| before.matches('\n').count() + 1);
        let message = error.message().replace('\n', " ");
        Failure::Usage(format!("{}, line {line}: {message}", path.display()))
    };
    let options: Options = toml::from_str(&text).map_err(|error| wrong(&error))?;
    table(&options)
}

fn settings(options: &Options) -> Result<Settings, Failure> {
    let time = |written: &Option<Written<Duration>>, seconds| {
        written.as_ref().map_or(Duration::from_secs(seconds), |written| written.value)
    };
    let labels = options.label.as_ref().map(|labels| labels.iter().map(|one| one.value).collect());
    let most_values = options.max_label_values.unwrap_or(50);
    if !(1..=MOST_VALUES).contains(&most_values) {
        return Err(usage(&format!("--max-label-values: use a number from 1 to {MOST_VALUES}")));
    }
    Ok(Settings {
        suspects: options.suspects.unwrap_or(false),
        limits: Limits {
            repeat: time(&options.repeat, 3600),
            per_minute: options.max_findings_per_minute.unwrap_or(60),
        },
        shape: Shape {
            labels: labels.unwrap_or_else(|| vec![Label::Executable]),
            most_values: usize::try_from(most_values).unwrap_or(usize::MAX),
            ttl: time(&options.metrics_ttl, 3600),
        },
        memory_limit: options.memory_limit.as_ref().map_or(256 << 20, |limit| limit.value.0),
    })
}

impl Config {
    /// Keys whose change is not taken while the service runs.
    pub(super) fn fixed_changes(&self, other: &Config) -> Vec<&'static str> {
        FIXED.into_iter().filter(|key| self.table.get(*key) != other.table.get(*key)).collect()
    }

    /// Where to listen.
    pub(super) fn address(&self) -> Address {
        let said = self.options.listen.as_ref().map(|written| written.value.clone());
        said.unwrap_or_else(Options::default_address)
    }

    /// Whether it was said where to listen.
    pub(super) fn says_address(&self) -> bool {
        self.options.listen.is_some()
    }

    /// How lines look. `to_journald`: it reads stderr.
    pub(super) fn log_format(&self, to_journald: bool) -> journal::Format {
        match self.options.log_format {
            Some(format) => format.into(),
            None if to_journald => journal::Format::Journald,
            None => journal::Format::Text,
        }
    }

    /// The program that is run for each finding, and for how long.
    pub(super) fn on_finding(&self) -> Option<(Program, Duration)> {
        let program = self.options.on_finding.as_ref()?.value.clone();
        let limit = self.options.on_finding_timeout.as_ref().map(|written| written.value);
        Some((program, limit.unwrap_or(Duration::from_secs(30))))
    }

    /// Where findings are sent as OTLP, if they are.
    pub(super) fn otlp(&self) -> Option<&otlp::Settings> {
        self.otlp.as_ref()
    }

    /// How what happens around findings is recorded, if it is.
    pub(super) fn archive(&self) -> Option<archive::Limits> {
        let options = &self.options;
        let folder = options.record_dir.clone();
        let time = options.record_time.as_ref().map(|written| written.value);
        self.records().then(|| archive::Limits {
            folder: folder.unwrap_or_else(|| PathBuf::from("/var/lib/forktrace")),
            time: time.unwrap_or(Duration::from_secs(300)),
            size: options.record_size.as_ref().map_or(64 << 20, |size| size.value.0),
            recordings: options.record_keep.map_or(20, |keep| keep as usize),
        })
    }

    /// Whether what happens around findings is recorded.
    pub(super) fn records(&self) -> bool {
        self.options.record_on == Some(RecordOn::Finding)
    }

    /// Each key with its value, and where it comes from.
    pub(super) fn text(&self, source: &Source) -> String {
        let matches = matches();
        let mut text = match source.file() {
            Some(file) => format!("# file: {}\n", file.display()),
            None => format!("# no file ({FILE} is not there)\n"),
        };
        let from = |key: &str| {
            let id = key.replace('-', "_");
            match matches.as_ref().and_then(|serve| serve.value_source(&id)) {
                Some(ValueSource::CommandLine) => "flag",
                Some(ValueSource::EnvVariable) => "environment",
                _ if self.of_file.contains_key(key) => "file",
                _ => "default",
            }
        };
        for (key, value) in &self.table {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key} = {value}  # {}", from(key));
        }
        for (key, value) in Options::DEFAULTS {
            if !self.table.contains_key(key) {
                let _ = writeln!(text, "# {key} = {value}  # default");
            }
        }
        text
    }
}

/// The arguments of this process, with where each value comes from.
fn matches() -> Option<clap::ArgMatches> {
    use clap::CommandFactory as _;
    let matches = Cli::command().try_get_matches_from(std::env::args_os()).ok()?;
    matches.subcommand_matches("serve").cloned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(flags: &str, file: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        std::fs::write(&path, file).unwrap();
        let source = Source::new(toml::from_str(flags).unwrap(), Some(path));
        source.read().map_err(|failure| failure.to_string())
    }

    #[test]
    fn flags_win_over_the_file_and_defaults_over_nothing() {
        let file = "repeat = \"2h\"\nsuspects = true\nexclude-comm = [\"noisy\"]\n";
        let config = read("repeat = \"3h\"\n", file).unwrap();
        assert_eq!(config.settings.limits.repeat, Duration::from_secs(3 * 3600));
        assert!(config.settings.suspects);
        assert_eq!(config.filter.as_ref().unwrap().excluded_comms.len(), 1);
        assert_eq!(config.settings.memory_limit, 256 << 20);
        assert_eq!(config.address(), Options::default_address());
        assert!(read("", "").unwrap().filter.is_none());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        for (file, why) in [
            ("\nexclude = 1\n", "line 2: unknown field `exclude`"),
            ("repeat = \"x\"", "use a time such as"),
            ("repeat = 5", "line 1: invalid type"),
            ("label = [\"pid\"]", "the labels are executable"),
            ("listen = \"9842\"", "use an address and a port"),
            ("on-finding = \"notify\"", "use the whole path"),
            ("uid = [\"no-such-user-here\"]", "no user is named"),
            ("max-label-values = 0", "use a number from 1"),
            ("suspects = true\nsuspects = false", "line 2"),
            ("= =", "line 1"),
        ] {
            let said = read("", file).unwrap_err();
            assert!(said.contains(why), "{file}: {said}");
        }
    }

    #[test]
    fn what_is_fixed_is_named() {
        let (before, after) = (read("", "").unwrap(), read("", "exact = true").unwrap());
        assert_eq!(after.fixed_changes(&before), ["exact"]);
        assert!(read("", "suspects = true").unwrap().fixed_changes(&before).is_empty());
    }

    #[test]
    fn every_fixed_key_and_default_is_one() {
        for key in FIXED.into_iter().chain(Options::DEFAULTS.map(|(key, _)| key)) {
            let said = read("", &format!("{key} = {{}}")).unwrap_err();
            assert!(!said.contains("unknown field"), "{said}");
        }
    }

    #[test]
    fn what_is_in_force_is_shown_with_where_it_comes_from() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f.toml");
        std::fs::write(&path, "repeat = \"2h\"").unwrap();
        let source = Source::new(Options::default(), Some(path));
        let text = source.read().unwrap().text(&source);
        assert!(text.contains("repeat = \"2h\"  # file\n"), "{text}");
        assert!(text.contains("# listen = 127.0.0.1:9842  # default\n"), "{text}");
    }
}

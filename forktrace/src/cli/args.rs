//! The command line as typed. What it means is built in the neighbouring files.

use std::{path::PathBuf, time::Duration};

use forktrace_common::maps;

use super::{failure::Failure, usage};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Finds the child process that hangs on a lock it inherited held across fork.
///
/// A fork copies memory, locks included, but only the calling thread. A lock that another thread
/// held at that instant stays held in the child for ever.
#[derive(Debug, Parser)]
#[command(
    name = "forktrace",
    version,
    args_conflicts_with_subcommands = true,
    override_usage = "forktrace [OPTIONS] -p PID[,PID…]\n       \
                      forktrace [OPTIONS] -a\n       \
                      forktrace [OPTIONS] -- CMD [ARG…]\n       \
                      forktrace demo [NAME]\n       \
                      forktrace report FILE…\n       \
                      forktrace export FILE… --format FORMAT [-o OUT]\n       \
                      forktrace doctor\n       \
                      forktrace schema"
)]
pub struct Cli {
    /// Tracing options.
    #[command(flatten)]
    pub trace: TraceArgs,
    /// What to do instead of tracing.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the lesson demos, or run one under the tracer
    Demo {
        /// The demo to run.
        name: Option<String>,
        /// Output options.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Judge a recorded log again and print it; needs no root
    Report(ReportArgs),
    /// Convert a recorded log for other programs (docs/export.md); needs no root
    Export(ExportArgs),
    /// Say what this host can do, one line per check, with what to do where something is missing
    Doctor(DoctorArgs),
    /// Print the JSON Schema of the event log
    Schema,
}

/// How the checks are shown.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// One JSON object on stdout instead of text
    #[arg(long)]
    pub json: bool,

    /// -vv: say what the kernel said
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// When to use colour
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,

    /// Only ASCII characters
    #[arg(long)]
    pub ascii: bool,
}

/// What to read again and how.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The log, as recorded with -o, or all parts of a rotated one; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Say what is wrong with the log itself instead; exit status 1 if anything is
    #[arg(long)]
    pub check: bool,

    /// Exit with this status if there was a finding
    #[arg(long, value_name = "N", conflicts_with = "check")]
    pub exit_code: Option<u8>,

    /// Read no further once so much memory is in use; hostile logs alone need it
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = memory)]
    pub memory: u64,

    /// What is wanted of it.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Output options.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Which processes are wanted, with all that they make.
#[derive(Clone, Debug, Default, Args)]
pub struct FilterArgs {
    /// Only processes with this name, such as 'gunicorn*', and what they fork; repeatable
    #[arg(long, value_name = "GLOB")]
    pub comm: Vec<String>,

    /// Only processes of this user, by number or name, and what they fork; repeatable
    #[arg(short, long, value_name = "UID")]
    pub uid: Vec<String>,

    /// Only processes in this cgroup or below, such as /system.slice/app.service; repeatable
    #[arg(long, value_name = "PATH")]
    pub cgroup: Vec<String>,

    /// Only processes of this container, by the first digits of its id; repeatable
    #[arg(long, value_name = "ID")]
    pub container: Vec<String>,
}

impl FilterArgs {
    /// Whether it asks to whom processes belong.
    pub(super) fn needs_owner(&self) -> bool {
        !(self.uid.is_empty() && self.cgroup.is_empty() && self.container.is_empty())
    }
}

/// What to convert into what.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The log, as recorded with -o, or all parts of a rotated one; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// The format; without it the name of OUT tells
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,

    /// Where to; `-` is stdout (the default)
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,

    /// Draw suspects too: findings that something alive may still resolve (tables have them anyway)
    #[arg(long)]
    pub suspects: bool,

    /// Read no further once so much memory is in use; the picture then takes more
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = memory)]
    pub memory: u64,
}

/// A format to convert to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A page to look at, offline.
    Html,
    /// For ui.perfetto.dev.
    Perfetto,
    /// A flat table for DuckDB, pandas and the like.
    #[cfg(feature = "parquet")]
    Parquet,
    /// The same table for spreadsheets.
    Csv,
    /// The process tree for Graphviz.
    Dot,
    /// The process tree as a picture.
    Svg,
}

/// What to trace and how.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Attach to these processes and their children; repeatable, comma or space lists
    #[arg(
        short,
        long = "pid",
        value_name = "PID[,PID…]",
        value_parser = pids,
        allow_hyphen_values = true
    )]
    pub pid: Vec<Pids>,

    /// Trace the whole host
    #[arg(short, long, conflicts_with_all = ["pid", "cmd"])]
    pub all: bool,

    /// Run this command, held back until the probes are attached; its exit status becomes ours.
    /// With --json or -o - its stdout goes to stderr
    #[arg(last = true, value_name = "CMD", conflicts_with = "pid")]
    pub cmd: Vec<String>,

    /// Follow children (the default)
    #[arg(short = 'f', long = "follow", overrides_with = "no_follow")]
    pub follow: bool,

    /// Do not trace the children of traced processes
    #[arg(long)]
    pub no_follow: bool,

    /// Which processes are wanted.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Stop tracing after this long; a command started by forktrace is left running
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,

    /// How long a wait must last to be judged
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub min_wait: Duration,

    /// Record the events, compressed if the name ends in .jsonl.zst; `-` is the same as --json
    #[arg(short, long = "output", value_name = "FILE.jsonl[.zst]")]
    pub output: Option<PathBuf>,

    /// When the recording goes on in a new file.
    #[command(flatten)]
    pub rotation: RotationArgs,

    /// What is streamed
    #[arg(long, value_enum, default_value = "waits", value_name = "WHAT")]
    pub events: Events,

    /// Do not keep the pages of children as they inherited them (the main proof)
    #[arg(long)]
    pub no_snapshots: bool,

    /// The most memory for these pages in all, such as 128M
    #[arg(long, value_name = "SIZE", default_value = "128M", value_parser = snapshot_limit)]
    pub snapshot_limit: u64,

    /// Probe the lock functions of the traced processes: says who took a lock, where and when; each
    /// lock call becomes slower
    #[arg(long)]
    pub locks: bool,

    /// Watch no futex call: find blocked threads of forked children by looking every 0.2 s. Costs
    /// nothing but at forks, execs and exits
    #[arg(long)]
    pub lean: bool,

    /// Size of the buffer between kernel and forktrace, such as 16M
    #[arg(long, value_name = "SIZE", default_value = "16M", value_parser = ring_size)]
    pub ring_size: u64,

    /// Keep pages by the kernel's count of page faults, as where it has no tracepoints for them: for tests
    #[arg(long, hide = true)]
    pub fault_events: bool,

    /// Make room for fewer entries in a table of the programs, such as WAITS=16: for tests
    #[arg(long, hide = true, value_name = "TABLE=N", value_parser = table_size)]
    pub table_size: Vec<(String, u32)>,

    /// Exit with this status if there was a finding
    #[arg(long, value_name = "N")]
    pub exit_code: Option<u8>,

    /// Output options.
    #[command(flatten)]
    pub out: OutputArgs,
}

/// When the recording goes on in a new file.
#[derive(Debug, Args)]
pub struct RotationArgs {
    /// Go on in a new file when one has this size, such as 100M: FILE.1.jsonl, FILE.2.jsonl, …
    #[arg(long, value_name = "SIZE", value_parser = rotate_size)]
    pub rotate_size: Option<u64>,

    /// Go on in a new file after this long, such as 1h
    #[arg(long, value_name = "TIME", value_parser = rotate_time)]
    pub rotate_time: Option<Duration>,

    /// Keep this many files and delete older ones (default: all are kept)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
}

impl RotationArgs {
    /// What was asked for; it makes sense for a recording in files only.
    pub(super) fn built(&self, records: bool) -> Result<forktrace_log::Rotation, Failure> {
        let rotates = self.rotate_size.is_some() || self.rotate_time.is_some();
        if self.keep.is_some() && !rotates {
            return Err(usage("--keep needs --rotate-size or --rotate-time"));
        }
        if rotates && !records {
            return Err(usage("--rotate-size and --rotate-time need -o FILE.jsonl"));
        }
        let keep = self.keep.map(|keep| usize::try_from(keep).unwrap_or(usize::MAX));
        Ok(forktrace_log::Rotation { size: self.rotate_size, time: self.rotate_time, keep })
    }
}

/// How results are shown.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// JSON lines on stdout instead of text, and nothing else: what CMD writes to stdout goes to
    /// stderr
    #[arg(long)]
    pub json: bool,

    /// Show suspects too: findings that something alive may still resolve
    #[arg(long)]
    pub suspects: bool,

    /// Findings and the conclusion only: no events, no tree, no counts
    #[arg(short, long)]
    pub quiet: bool,

    /// Say more: -v why a wait is not reported, -vv what the eBPF programs say
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// When to use colour
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,

    /// Draw with ASCII characters only
    #[arg(long)]
    pub ascii: bool,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What is streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Events {
    /// Findings only.
    Findings,
    /// Forks, execs and exits too.
    Lifecycle,
    /// Waits over the threshold too.
    Waits,
    /// Every wait and every wake.
    All,
}

/// One `-p` value: a list of pids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pids(pub Vec<u32>);

fn pids(text: &str) -> Result<Pids, String> {
    let list: Vec<u32> = text
        .split([',', ' ', '\n', '\t'])
        .filter(|part| !part.is_empty())
        .map(|part| match part.parse() {
            Ok(0) | Err(_) => Err(format!("`{}` is no process id", part.escape_debug())),
            Ok(pid) => Ok(pid),
        })
        .collect::<Result<_, _>>()?;
    match list.is_empty() {
        true => Err("no process id given (did pgrep find nothing?)".into()),
        false => Ok(Pids(list)),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let scale = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("give a time such as 500ms, 30s, 5m or 1h".into()),
    };
    let seconds: f64 = number.parse().map_err(|_| "give a time such as 30s".to_owned())?;
    let duration = Duration::try_from_secs_f64(seconds * scale).map_err(|e| e.to_string())?;
    match duration.is_zero() {
        true => Err("the time must be longer than zero".into()),
        false => Ok(duration),
    }
}

/// The kernel's limits for a ring buffer whose size is told in 32 bits: a page, and the largest
/// power of two (`ringbuf_map_alloc`, `kernel/bpf/ringbuf.c`, Linux 6.18).
fn ring_size(text: &str) -> Result<u64, String> {
    within(text, 4 << 10, 2 << 30, "4K to 2G")
}

/// From one page of 4 KiB on.
fn snapshot_limit(text: &str) -> Result<u64, String> {
    within(text, 4 << 10, 64 << 30, "4K to 64G")
}

fn memory(text: &str) -> Result<u64, String> {
    within(text, 32 << 20, 1 << 40, "32M to 1024G")
}

/// A table whose size is no matter of correctness.
fn table_size(text: &str) -> Result<(String, u32), String> {
    let (name, entries) = text.split_once('=').ok_or("give a table and a number: WAITS=16")?;
    let entries: u32 = entries.parse().ok().filter(|entries| *entries > 0).ok_or("no number")?;
    match maps::TABLES.contains(&name) {
        true => Ok((name.to_owned(), entries)),
        false => Err(format!("the tables are {}", maps::TABLES.join(", "))),
    }
}

fn rotate_size(text: &str) -> Result<u64, String> {
    within(text, 64 << 10, 1 << 40, "64K to 1024G")
}

/// A file a second is more than anybody wants.
fn rotate_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    match time >= Duration::from_secs(1) {
        true => Ok(time),
        false => Err("give a time of at least 1s".into()),
    }
}

fn within(text: &str, least: u64, most: u64, range: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    match (least..=most).contains(&bytes) {
        true => Ok(bytes),
        false => Err(format!("give a size from {range}")),
    }
}

fn size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.trim().trim_end_matches(['B', 'b']).trim_end_matches('i') {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        _ => return Err("give a size such as 64M or 1G".into()),
    };
    let number: u64 = number.parse().map_err(|_| "give a size such as 64M".to_owned())?;
    number
        .checked_shl(shift)
        .filter(|bytes| bytes >> shift == number && *bytes > 0)
        .ok_or_else(|| "the size is out of range".into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn pid_lists_take_commas_spaces_and_lines() {
        assert_eq!(pids("1,2 3\n4").unwrap(), Pids(vec![1, 2, 3, 4]));
        for bad in ["", " ", "0", "x", "1,-2", "99999999999"] {
            assert!(pids(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_and_sizes() {
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("1.5").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for bad in ["", "s", "-1s", "1d", "0", "1e400s", "..s"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert_eq!(ring_size("4K").unwrap(), 4096);
        assert_eq!(ring_size("2G").unwrap(), 1 << 31);
        for bad in ["3", "4095", "3G", "999999G"] {
            assert!(ring_size(bad).unwrap_err().contains("4K to 2G"), "{bad:?}");
        }
        assert!(snapshot_limit("1K").is_err() && snapshot_limit("65G").is_err());
        assert_eq!(size("64M").unwrap(), 64 << 20);
        assert_eq!(size("1GiB").unwrap(), 1 << 30);
        for bad in ["", "M", "0", "99999999999999999999", "18446744073709551615G", "1T"] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
    }
}

//! The command line as typed. The neighbouring files check and use it.

#[cfg(feature = "top")]
mod top;
pub(super) mod values;

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

#[cfg(feature = "top")]
pub(super) use top::TopArgs;
pub(super) use values::Pids;
use values::{
    duration, memory, pids, ring_size, rotate_size, rotate_time, snapshot_limit, table_size,
};

use super::{failure::Failure, usage};

/// Find forked child processes that hang on an inherited lock.
///
/// fork copies the memory of a process, including its locks, but only the thread that calls fork.
/// If another thread holds a lock at that moment, the copy of the lock in the child is never
/// released. The child hangs when it takes that lock.
#[derive(Debug, Parser)]
#[command(
    name = "forktrace",
    version,
    long_version = super::version::long(),
    args_conflicts_with_subcommands = true,
    override_usage = "forktrace [OPTIONS] -p PID[,PID…]\n       \
                      forktrace [OPTIONS] -a\n       \
                      forktrace [OPTIONS] -- CMD [ARG…]\n       \
                      forktrace dump -p PID[,PID…]\n       \
                      forktrace top [FILE…]\n       \
                      forktrace demo [NAME]\n       \
                      forktrace report FILE…\n       \
                      forktrace export FILE… --format FORMAT [-o OUT]\n       \
                      forktrace serve [--config FILE]\n       \
                      forktrace doctor\n       \
                      forktrace schema\n       \
                      forktrace man [COMMAND]\n       \
                      forktrace completions SHELL"
)]
pub struct Cli {
    /// Tracing options.
    #[command(flatten)]
    pub trace: TraceArgs,
    /// A command other than tracing.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge running processes as they are now: print what hangs, and exit
    ///
    /// The same as -q -d 4s, with all options of a trace. What polls or spins takes longer to be seen: trace it.
    Dump(Box<TraceArgs>),
    /// Show the processes of this host or of a recorded log as a table, those that hang first
    ///
    /// Up and Down choose a process, Enter shows its finding, ? lists all keys.
    #[cfg(feature = "top")]
    Top(Box<TopArgs>),
    /// List the demos, or run one under the tracer
    Demo {
        /// Name of the demo; without it, the demos are listed
        name: Option<String>,
        /// Output options.
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Print a recorded log and judge it again (no root needed)
    Report(ReportArgs),
    /// Convert a recorded log to another format (no root needed)
    Export(ExportArgs),
    /// Trace this host until it is stopped: metrics, one line for each finding, and more (docs/service.md)
    #[cfg(feature = "serve")]
    Serve(Box<super::serve::ServeArgs>),
    /// Check whether this host can be traced, and how to fix what is missing
    Doctor(DoctorArgs),
    /// Print the JSON Schema of the event log
    Schema,
    /// Print the manual page: forktrace man | man -l -
    Man {
        /// A command, such as dump
        name: Option<String>,
        /// Write the pages of all commands to this folder instead
        #[arg(long, value_name = "DIR", conflicts_with = "name")]
        dir: Option<PathBuf>,
    },
    /// Print completions of a shell, to be put where that looks for them
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// A shell whose completions can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// `source <(forktrace completions bash)`
    Bash,
    /// `forktrace completions fish | source`
    Fish,
    /// To a file `_forktrace` in a folder of `fpath`.
    Zsh,
}

/// Options of `forktrace doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,

    /// Print more; -vv: the messages of the kernel
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// When to use colour
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,

    /// Use ASCII characters only
    #[arg(long)]
    pub ascii: bool,
}

/// Options of `forktrace report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A log recorded with -o, or all files of a rotated log; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Check the format of the log instead (exit status 1: the log has errors)
    #[arg(long)]
    pub check: bool,

    /// Exit with this status if there is a finding
    #[arg(long, value_name = "N", conflicts_with = "check")]
    pub exit_code: Option<u8>,

    /// Stop reading when forktrace uses this much memory
    ///
    /// This limit protects against hostile logs. The logs of forktrace need less.
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = memory)]
    pub memory: u64,

    /// Which processes to show.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Output options.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Options that select processes. A selected process brings its descendants with it.
#[derive(Clone, Debug, Default, Args)]
pub struct FilterArgs {
    /// Only processes with this name, such as 'gunicorn*', and their children; repeatable
    ///
    /// Values of one option are ORed. Different options (--comm, --uid, --cgroup, --container) are
    /// ANDed.
    #[arg(long, value_name = "GLOB")]
    pub comm: Vec<String>,

    /// Only processes of this user (name or number) and their children; repeatable
    #[arg(short, long, value_name = "UID")]
    pub uid: Vec<String>,

    /// Only processes in this cgroup or below it, such as /system.slice/app.service; repeatable
    #[arg(long, value_name = "PATH")]
    pub cgroup: Vec<String>,

    /// Only processes of this container (first digits of its id); repeatable
    #[arg(long, value_name = "ID")]
    pub container: Vec<String>,

    /// Not processes with this name; repeatable
    ///
    /// Their children are judged by their own names.
    #[arg(long, value_name = "GLOB")]
    pub exclude_comm: Vec<String>,

    /// Not processes in this cgroup or below it; repeatable
    #[arg(long, value_name = "PATH")]
    pub exclude_cgroup: Vec<String>,
}

impl FilterArgs {
    /// Whether the filter needs the owner of each process: user, cgroup or container.
    pub(super) fn needs_owner(&self) -> bool {
        let owner = [&self.uid, &self.cgroup, &self.container, &self.exclude_cgroup];
        owner.iter().any(|values| !values.is_empty())
    }
}

/// Options of `forktrace export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// A log recorded with -o, or all files of a rotated log; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// The format [default: from the name of OUT]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,

    /// The file to write; `-` is stdout (the default)
    #[arg(short, long, value_name = "OUT")]
    pub output: Option<PathBuf>,

    /// Also draw low-confidence findings (suspects); tables always have them
    #[arg(long)]
    pub suspects: bool,

    /// Also export each fork beside other threads whose child did not exec, as a finding
    #[arg(long)]
    pub audit: bool,

    /// Stop reading when forktrace uses this much memory
    ///
    /// Writing the output then needs more.
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = memory)]
    pub memory: u64,
}

/// A format to convert to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A web page with findings, process tree and timeline; works offline.
    Html,
    /// A trace for ui.perfetto.dev.
    Perfetto,
    /// A flat table for DuckDB, pandas and others.
    #[cfg(feature = "parquet")]
    Parquet,
    /// A flat table for spreadsheets.
    Csv,
    /// The process tree for Graphviz.
    Dot,
    /// The process tree as an image.
    Svg,
    /// The findings for code hosts and editors (SARIF 2.1.0).
    Sarif,
}

/// Options of a trace.
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Trace these processes and their children; repeatable
    ///
    /// A value may be a list with commas, spaces or newlines between the process ids: -p "$(pgrep
    /// gunicorn)".
    #[arg(
        short,
        long = "pid",
        value_name = "PID[,PID…]",
        value_parser = pids,
        allow_hyphen_values = true
    )]
    pub pid: Vec<Pids>,

    /// Trace all processes on this host
    #[arg(short, long, conflicts_with_all = ["pid", "cmd"])]
    pub all: bool,

    /// Run this command and trace it; forktrace exits with its exit status
    ///
    /// The command starts when the probes are attached. Its stdout goes to stderr with --json or
    /// `-o -`, and with --duration if stdout is a pipe: the command continues to run, and the reader
    /// of the pipe would wait for its end.
    #[arg(last = true, value_name = "CMD", conflicts_with = "pid")]
    pub cmd: Vec<String>,

    /// Also trace the children of traced processes (the default)
    #[arg(short = 'f', long = "follow", overrides_with = "no_follow")]
    pub follow: bool,

    /// Do not trace the children of traced processes
    #[arg(long)]
    pub no_follow: bool,

    /// Which processes to trace.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Stop tracing after this time, such as 30s or 5m; a command continues to run
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,

    /// Judge a wait when it has lasted this long
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub min_wait: Duration,

    /// Record the events in this file; a name that ends in .jsonl.zst is compressed
    ///
    /// `-` prints them to stdout, like --json. The file is written every second and at every
    /// finding.
    #[arg(short, long = "output", value_name = "FILE.jsonl[.zst]")]
    pub output: Option<PathBuf>,

    /// When to start a new file.
    #[command(flatten)]
    pub rotation: RotationArgs,

    /// Which events to print
    ///
    /// On a terminal, if there are more than ten forks, execs and exits in a second, the others are
    /// counted; -v prints all of them.
    #[arg(long, value_enum, default_value = "waits", value_name = "WHAT")]
    pub events: Events,

    /// Do not save the memory pages that children inherit
    ///
    /// These pages are the main proof of a hang. Without them few findings are certain.
    #[arg(long)]
    pub no_snapshots: bool,

    /// Use at most this much memory for the pages that children inherit
    #[arg(long, value_name = "SIZE", default_value = "128M", value_parser = snapshot_limit)]
    pub snapshot_limit: u64,

    /// Also probe the lock functions: shows who took a lock, where and when
    ///
    /// Each lock call of the traced processes becomes slower.
    #[arg(long)]
    pub locks: bool,

    /// See each futex wait and wake of the traced processes, with its exact time
    ///
    /// Otherwise forked children are looked at every 0.2 s. This hooks the futex calls, which makes every
    /// system call of every process of the host slower. --events all does the same, and prints them.
    #[arg(long)]
    pub exact: bool,

    /// The default: hook no system call.
    #[arg(long, hide = true, conflicts_with = "exact")]
    pub lean: bool,

    /// Size of the buffer between the kernel and forktrace: 4M, or 16M where each futex call is seen
    #[arg(long, value_name = "SIZE", value_parser = ring_size)]
    pub ring_size: Option<u64>,

    /// For tests: use the kernel's page fault counter instead of its tracepoints
    #[arg(long, hide = true)]
    pub fault_events: bool,

    /// For tests: the number of entries of a table in the kernel, such as WAITS=16
    #[arg(long, hide = true, value_name = "TABLE=N", value_parser = table_size)]
    pub table_size: Vec<(String, u32)>,

    /// Exit with this status if there is a finding
    #[arg(long, value_name = "N")]
    pub exit_code: Option<u8>,

    /// Output options.
    #[command(flatten)]
    pub out: OutputArgs,
}

/// When to start a new file, and how many to keep.
#[derive(Debug, Args)]
pub struct RotationArgs {
    /// Start a new file when one has this size, such as 100M
    ///
    /// The files are FILE.1.jsonl, FILE.2.jsonl, …
    #[arg(long, value_name = "SIZE", value_parser = rotate_size)]
    pub rotate_size: Option<u64>,

    /// Start a new file after this time, such as 1h
    #[arg(long, value_name = "TIME", value_parser = rotate_time)]
    pub rotate_time: Option<Duration>,

    /// Keep only the newest N files [default: keep all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
}

impl RotationArgs {
    /// The rotation of the log files.
    ///
    /// # Errors
    /// A usage error if there is no file to rotate (`records` is false) or no reason to rotate.
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

/// Output options.
#[derive(Clone, Debug, Args)]
pub struct OutputArgs {
    /// Print JSON lines instead of text
    ///
    /// stdout then has only JSON lines. The stdout of CMD goes to stderr.
    #[arg(long)]
    pub json: bool,

    /// Also show low-confidence findings (suspects)
    ///
    /// A finding is a suspect if another thread or process may still end the wait, or if forktrace
    /// cannot prove that the lock was inherited.
    #[arg(long)]
    pub suspects: bool,

    /// Also report each place where a process with several threads forks a child that does not exec
    ///
    /// Nothing is wrong yet at such a place: threads and what they did are missing in the child. With
    /// --exit-code a test run can fail because of it.
    #[arg(long)]
    pub audit: bool,

    /// Print only the findings and the result
    #[arg(short, long)]
    pub quiet: bool,

    /// Print more; -v: all lines, whole stacks, why a wait is not reported, -vv: also debug messages
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,

    /// When to use colour
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,

    /// Use ASCII characters only
    #[arg(long)]
    pub ascii: bool,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// If stdout is a terminal and NO_COLOR is not set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Which events are printed. Each value includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Events {
    /// No events, only findings.
    Findings,
    /// Forks, execs and exits.
    Lifecycle,
    /// Also waits that last --min-wait or longer.
    Waits,
    /// Every wait and every wake; makes every system call of the host slower, like --exact.
    All,
}

//! Options of `forktrace top`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use super::{
    Color, FilterArgs, Pids,
    values::{duration, memory, pids, snapshot_limit},
};

/// Options of `forktrace top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Show a log recorded with -o instead of this host (no root needed); all files of a rotated log
    #[arg(value_name = "FILE", conflicts_with_all = ["pid", "min_wait", "snapshot_limit"])]
    pub files: Vec<PathBuf>,

    /// Only these processes and their children; repeatable
    #[arg(short, long = "pid", value_name = "PID[,PID…]", value_parser = pids)]
    pub pid: Vec<Pids>,

    /// Which processes to show.
    #[command(flatten)]
    pub filter: FilterArgs,

    /// Time between two looks
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub delay: Duration,

    /// Print tables instead of a screen
    ///
    /// The first one comes after four seconds at least: a hang is judged when it has lasted a while.
    #[arg(short, long)]
    pub batch: bool,

    /// End after this many tables [default: of a log one, otherwise no end]
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub iterations: Option<u32>,

    /// Print JSON instead of tables, an object on each line
    #[arg(long, requires = "batch")]
    pub json: bool,

    /// Begin with a flat list instead of the tree
    #[arg(long)]
    pub flat: bool,

    /// Begin with only the processes that have a finding
    #[arg(long)]
    pub hangs: bool,

    /// Also show processes that ended a short while ago
    #[arg(long)]
    pub ended: bool,

    /// Also show low-confidence findings (suspects)
    #[arg(long)]
    pub suspects: bool,

    /// Judge a wait when it has lasted this long
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub min_wait: Duration,

    /// Use at most this much memory for the pages that children inherit
    #[arg(long, value_name = "SIZE", default_value = "128M", value_parser = snapshot_limit)]
    pub snapshot_limit: u64,

    /// Of a log: stop reading when forktrace uses this much memory
    #[arg(long, value_name = "SIZE", default_value = "2G", value_parser = memory)]
    pub memory: u64,

    /// When to use colour
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,

    /// Use ASCII characters only
    #[arg(long)]
    pub ascii: bool,
}

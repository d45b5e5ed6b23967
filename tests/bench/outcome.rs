//! A run's figures, as they are kept in a file.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::cost::Cost;

/// One figure of a run at scale.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fact {
    /// What it is.
    pub(crate) name: String,
    /// How much.
    pub(crate) value: f64,
    /// Of what; empty for a plain number.
    pub(crate) unit: String,
}

impl Fact {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &str) -> Self {
        Fact { name: name.into(), value, unit: unit.to_owned() }
    }
}

/// Everything that a run measured, and where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// When, UTC.
    pub(crate) date: String,
    /// `uname -sr`, the processor and how many of them.
    pub(crate) machine: String,
    /// The commit that was measured.
    pub(crate) commit: String,
    /// Load average of the last minute, when it began: how much else the machine did.
    pub(crate) load: f64,
    /// Small sizes.
    pub(crate) quick: bool,
    /// By call and setting.
    pub(crate) costs: Vec<Cost>,
    /// By name of the run.
    pub(crate) scale: BTreeMap<String, Vec<Fact>>,
}

impl Outcome {
    /// Nothing measured yet, on this machine, now.
    pub(crate) fn begin(quick: bool) -> Result<Self> {
        let folder = env!("CARGO_MANIFEST_DIR");
        // Root may be another user than the one whose folder it is.
        let git =
            ["git", "-c", "safe.directory=*", "-C", folder, "describe", "--always", "--dirty"];
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("an unknown processor", |(_, name)| name);
        let count = cpu.lines().filter(|line| line.starts_with("processor")).count();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let first = load.split(' ').next().context("no load average")?;
        Ok(Outcome {
            date: said(&["date", "-u", "+%Y-%m-%d %H:%M"]),
            machine: format!("{}, {count} × {model}", said(&["uname", "-sr"])),
            commit: said(&git),
            load: first.parse().unwrap_or_default(),
            quick,
            ..Outcome::default()
        })
    }

    /// What the figures are of.
    pub(crate) fn headline(&self) -> String {
        let Outcome { date, machine, commit, load, .. } = self;
        format!("{date} UTC, {machine}, commit {commit}, load {load} at the start")
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        Ok(fs::write(path, serde_json::to_string_pretty(self)?)?)
    }
}

/// The first line that a command prints; empty if it cannot be run.
fn said(command: &[&str]) -> String {
    let output = command
        .split_first()
        .and_then(|(program, args)| Command::new(program).args(args).output().ok());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

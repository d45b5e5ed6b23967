//! What a call costs under each tracer, beside what it costs alone: both in turns, so that whatever
//! else the machine does meanwhile hits both.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use forktrace_tests::{run::Job, workload::Facts};
use serde::{Deserialize, Serialize};

use crate::{
    settings::{self, ALONE, SETTINGS, Setting},
    stats::Spread,
};

/// How long one measurement may take, with the start of its tracer.
const LIMIT: Duration = Duration::from_secs(60);

/// The kinds of calls: the workload's name, and what it is.
pub(crate) static CALLS: [(&str, &str); 5] = [
    ("wake", "FUTEX_WAKE"),
    ("pingpong", "futex ping-pong, a round trip"),
    ("fork", "fork + exit + wait"),
    ("spawn", "posix_spawn of true + wait"),
    ("getppid", "getppid (no futex)"),
];

/// One kind of call in one setting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// As in [`CALLS`].
    pub(crate) call: String,
    /// Name of the setting.
    pub(crate) setting: String,
    /// ns a call.
    pub(crate) ns: Spread,
    /// The same divided by what it was alone, just before.
    pub(crate) ratio: Spread,
    /// How often it was measured.
    pub(crate) samples: usize,
}

type Samples = BTreeMap<(usize, &'static str), Vec<(f64, f64)>>;

/// Measures all of it, in `rounds` rounds. `only`: parts of names of settings, or all of them.
pub(crate) fn measure(rounds: usize, quick: bool, only: &[String]) -> Result<Vec<Cost>> {
    let milliseconds = if quick { 60 } else { 300 };
    let wanted =
        |setting: &&Setting| only.is_empty() || only.iter().any(|part| setting.name.contains(part));
    let mut settings = Vec::new();
    for setting in SETTINGS.iter().filter(wanted) {
        match setting.missing() {
            Some(missing) => println!("not measured: {} ({missing})", setting.name),
            None => settings.push(setting),
        }
    }
    let mut samples = Samples::new();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for setting in &settings {
            let measured = in_turns(setting, milliseconds, &mut samples);
            measured.with_context(|| format!("measuring under {}", setting.name))?;
        }
    }
    Ok(costs(&samples))
}

/// Every call once alone and once in this setting.
fn in_turns(setting: &Setting, milliseconds: u64, samples: &mut Samples) -> Result<()> {
    let mut alone = Vec::new();
    for (name, _) in CALLS {
        alone.push(once(&ALONE, name, milliseconds)?);
    }
    let background = setting.start()?;
    for (call, ((name, _), alone)) in CALLS.iter().zip(alone).enumerate() {
        let ns = once(setting, name, milliseconds)?;
        samples.entry((call, setting.name)).or_default().push((ns, ns / alone));
        samples.entry((call, ALONE.name)).or_default().push((alone, 1.0));
    }
    background.stop()
}

/// ns a call, by the workload's own measuring.
fn once(setting: &Setting, call: &str, milliseconds: u64) -> Result<f64> {
    let command = setting.command(settings::calls(call, milliseconds)?)?;
    let ended = Job::start(&command, &[])?.wait(LIMIT)?;
    ended.expect_code(0)?;
    let picoseconds = Facts::read(&ended.stdout).one("picoseconds")?;
    Ok(picoseconds as f64 / 1000.0)
}

fn costs(samples: &Samples) -> Vec<Cost> {
    let names = std::iter::once(ALONE.name).chain(SETTINGS.iter().map(|setting| setting.name));
    let names: Vec<&str> = names.collect();
    let mut costs = Vec::new();
    for (call, (_, text)) in CALLS.iter().enumerate() {
        for name in &names {
            let Some(pairs) = samples.get(&(call, *name)) else { continue };
            let column =
                |of: fn(&(f64, f64)) -> f64| Spread::of(&pairs.iter().map(of).collect::<Vec<_>>());
            costs.push(Cost {
                call: (*text).to_owned(),
                setting: (*name).to_owned(),
                ns: column(|pair| pair.0).unwrap_or_default(),
                ratio: column(|pair| pair.1).unwrap_or_default(),
                samples: pairs.len(),
            });
        }
    }
    costs
}

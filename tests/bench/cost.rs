//! What a call costs under each tracer, beside what it costs alone: both in turns, so that whatever
//! else the machine does meanwhile hits both.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, bail};
use forktrace_tests::{run::Job, workload::Facts};
use serde::{Deserialize, Serialize};

use crate::{
    settings::{self, ALONE, SETTINGS, Setting},
    stats::Spread,
    strangers::{self, Patience},
};

/// How long one measurement may take, with the start of its tracer.
const LIMIT: Duration = Duration::from_secs(60);

/// How often a pair of measurements is begun at most.
const TRIES: usize = 20;

/// A kind of call, over and over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The workload that makes it, and what it is told.
    pub(crate) program: &'static str,
    pub(crate) argument: &'static str,
    /// What it is.
    pub(crate) text: &'static str,
    /// What it is to cost at most under the default, as a multiple of what it costs alone.
    pub(crate) goal: Option<f64>,
}

const fn call(argument: &'static str, text: &'static str, goal: Option<f64>) -> Call {
    Call { program: "bench/calls.c", argument, text, goal }
}

const fn pages(argument: &'static str, text: &'static str) -> Call {
    Call { program: "bench/pages.c", argument, text, goal: Some(1.15) }
}

/// The kinds of calls.
pub(crate) static CALLS: [Call; 9] = [
    call("wake", "FUTEX_WAKE", Some(1.02)),
    call("pingpong", "futex ping-pong, a round trip", Some(1.02)),
    call("fork", "fork + exit + wait", Some(1.15)),
    call("spawn", "posix_spawn of true + wait", None),
    call("getppid", "getppid (no futex)", Some(1.02)),
    pages("1", "fork whose child writes 1 inherited page, CPU time"),
    pages("50", "fork whose child writes 50 inherited pages, CPU time"),
    pages("200", "fork whose child writes 200 inherited pages, CPU time"),
    pages("2000", "fork whose child writes 2,000 inherited pages, CPU time"),
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
    /// How often another tracer was at work meanwhile.
    #[serde(default)]
    pub(crate) disturbed: usize,
}

/// By call and setting.
type Samples = BTreeMap<(usize, &'static str), Vec<Sample>>;

/// One measurement.
#[derive(Clone, Copy, Debug)]
struct Sample {
    ns: f64,
    ratio: f64,
    disturbed: bool,
}

/// Measures all of it, in `rounds` rounds. `only` and `calls`: parts of names of settings and of calls,
/// or all of them. What is known so far is given to `keep` after each round.
pub(crate) fn measure(
    rounds: usize,
    quick: bool,
    (only, calls): (&[String], &[String]),
    mut patience: Patience,
    mut keep: impl FnMut(Vec<Cost>) -> Result<()>,
) -> Result<()> {
    let milliseconds = if quick { 60 } else { 300 };
    let named = |name: &str| SETTINGS.iter().any(|setting| setting.name == name);
    let is_it = |setting: &Setting, part: &str| match named(part) {
        true => setting.name == part,
        false => setting.name.contains(part),
    };
    let wanted =
        |setting: &&Setting| only.is_empty() || only.iter().any(|part| is_it(setting, part));
    let asked = |call: &Call| calls.is_empty() || calls.iter().any(|part| call.text.contains(part));
    let calls: Vec<(usize, Call)> =
        CALLS.iter().copied().enumerate().filter(|(_, call)| asked(call)).collect();
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
        // A peer that fails is no reason to lose everything else.
        settings.retain(|setting| {
            let measured = each_call(setting, &calls, milliseconds, &mut patience, &mut samples);
            let result = measured.with_context(|| format!("{} is given up", setting.name));
            result.inspect_err(|error| println!("{error:#}")).is_ok()
        });
        keep(costs(&samples))?;
    }
    Ok(())
}

/// Every call in one setting.
fn each_call(
    setting: &Setting,
    calls: &[(usize, Call)],
    milliseconds: u64,
    patience: &mut Patience,
    samples: &mut Samples,
) -> Result<()> {
    for (index, call) in calls {
        let pair = undisturbed(setting, call, milliseconds, patience);
        let (alone, pair) = pair.with_context(|| format!("measuring {}", call.text))?;
        samples.entry((*index, setting.name)).or_default().push(pair);
        samples.entry((*index, ALONE.name)).or_default().push(alone);
    }
    Ok(())
}

/// A pair during which nobody else traced, if that can be had.
fn undisturbed(
    setting: &Setting,
    call: &Call,
    milliseconds: u64,
    patience: &mut Patience,
) -> Result<(Sample, Sample)> {
    for _ in 0..TRIES {
        let quiet = patience.wait_until_gone();
        let (alone, ns) = in_turns(setting, call, milliseconds)?;
        let disturbed = !quiet || strangers::are_here();
        if !quiet || !disturbed {
            let sample = |ns, ratio| Sample { ns, ratio, disturbed };
            return Ok((sample(alone, 1.0), sample(ns, ns / alone)));
        }
    }
    bail!("other tracers come and go: nothing can be measured beside them")
}

/// A call alone, and then in a setting.
fn in_turns(setting: &Setting, call: &Call, milliseconds: u64) -> Result<(f64, f64)> {
    let alone = once(&ALONE, call, milliseconds)?;
    let background = setting.start()?;
    let ns = once(setting, call, milliseconds)?;
    background.stop()?;
    Ok((alone, ns))
}

/// ns a call, by the workload's own measuring.
fn once(setting: &Setting, call: &Call, milliseconds: u64) -> Result<f64> {
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
    for (call, Call { text, .. }) in CALLS.iter().enumerate() {
        for name in &names {
            let Some(samples) = samples.get(&(call, *name)) else { continue };
            let column =
                |of: fn(&Sample) -> f64| Spread::of(&samples.iter().map(of).collect::<Vec<_>>());
            costs.push(Cost {
                call: (*text).to_owned(),
                setting: (*name).to_owned(),
                ns: column(|sample| sample.ns).unwrap_or_default(),
                ratio: column(|sample| sample.ratio).unwrap_or_default(),
                samples: samples.len(),
                disturbed: samples.iter().filter(|sample| sample.disturbed).count(),
            });
        }
    }
    costs
}

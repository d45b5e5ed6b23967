//! What forktrace costs and how it holds at scale (`cargo xtask bench`): figures, no verdicts. Each
//! figure is printed with its spread, and beside that of the last run on this machine.

mod cost;
mod growth;
mod latency;
mod outcome;
mod scale;
mod settings;
mod stats;
mod strangers;
mod table;
mod watch;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use forktrace_tests::{Need, clean_up};

use outcome::Outcome;
use strangers::Patience;

/// Where the last run's figures are kept.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench");

/// As root, on this machine's kernel; best when the machine does nothing else.
#[derive(Parser)]
#[command(name = "cargo xtask bench", about = "Measure what forktrace costs")]
struct Cli {
    /// What to measure: `cost`, or a name that `--list` shows; everything otherwise.
    names: Vec<String>,
    /// Show the names.
    #[arg(long)]
    list: bool,
    /// Small sizes and few rounds: to try whether it works.
    #[arg(long)]
    quick: bool,
    /// How often each cost is measured.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// How long to wait in all until nobody else traces, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    patience: u64,
    /// Only the setting of this name, or those whose name contains it, beside `alone`.
    #[arg(long, value_name = "NAME")]
    setting: Vec<String>,
    /// Only the calls whose name contains one of these.
    #[arg(long, value_name = "NAME")]
    call: Vec<String>,
    /// Where the figures go [default: target/bench/last.json, or quick.json, and nowhere if only a
    /// part is measured].
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// The figures to compare with [default: those of the last run, where the figures go].
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

fn main() -> ExitCode {
    let result = bench(&Cli::parse());
    clean_up();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything that was asked for could be measured.
fn bench(cli: &Cli) -> Result<bool> {
    if cli.list {
        println!("cost");
        scale::RUNS.iter().for_each(|run| println!("{:16} {}", run.name, run.about));
        return Ok(true);
    }
    check(cli)?;
    let asked = |name: &str| cli.names.is_empty() || cli.names.iter().any(|asked| asked == name);
    let last = PathBuf::from(FOLDER).join(if cli.quick { "quick.json" } else { "last.json" });
    let before = match &cli.against {
        Some(path) => Some(Outcome::read(path)?),
        None => Outcome::read(cli.json.as_deref().unwrap_or(&last)).ok(),
    };
    let everything = cli.names.is_empty() && cli.setting.is_empty() && cli.call.is_empty();
    let file = cli.json.clone().or_else(|| everything.then_some(last));
    let mut outcome = Outcome::begin(cli.quick)?;
    println!("{}\n", outcome.headline());
    let mut whole = true;
    if asked("cost") {
        costs(cli, &mut outcome, file.as_deref())?;
    }
    for run in scale::RUNS.iter().filter(|run| asked(run.name)) {
        println!("\n{}: {}", run.name, run.about);
        match (run.measure)(cli.quick) {
            Ok(facts) => {
                print!("{}", table::facts(&facts));
                outcome.scale.insert(run.name.to_owned(), facts);
            }
            Err(error) => {
                whole = false;
                println!("  not measured: {error:#}");
            }
        }
    }
    if let Some(before) = before {
        print!("{}", table::comparison(&before, &outcome));
    }
    if let Some(file) = file {
        outcome.write(&file).with_context(|| format!("writing {}", file.display()))?;
        println!("\nfigures: {}", file.display());
    }
    Ok(whole)
}

/// Whether what is asked for is known, and can be measured here.
fn check(cli: &Cli) -> Result<()> {
    for name in &cli.names {
        let known = name == "cost" || scale::RUNS.iter().any(|run| run.name == name);
        ensure!(known, "nothing is called {name}; --list shows the names");
    }
    // The tests' own build has checks that cost more than what is measured.
    let built = std::env::var_os("FORKTRACE_BIN");
    ensure!(
        built.is_some(),
        "start it as `cargo xtask bench`, or name a forktrace in FORKTRACE_BIN"
    );
    if let Some(missing) = Need::Tracing.missing().or_else(|| Need::Cc.missing()) {
        bail!("cannot measure: {missing}");
    }
    Ok(())
}

/// Measures what programs cost under each setting, and prints it. What is known so far goes to the file.
fn costs(cli: &Cli, outcome: &mut Outcome, file: Option<&Path>) -> Result<()> {
    let rounds = cli.rounds.unwrap_or(if cli.quick { 2 } else { 5 });
    let patience = Patience::new(Duration::from_secs(cli.patience));
    cost::measure(rounds, cli.quick, (&cli.setting, &cli.call), patience, |costs| {
        outcome.costs = costs;
        // A run takes minutes: what it knows is not lost if it is ended.
        file.map_or(Ok(()), |file| outcome.write(file))
    })?;
    print!("{}", table::costs(&outcome.costs));
    print!("{}", table::goals(&outcome.costs));
    let disturbed: usize = outcome.costs.iter().map(|cost| cost.disturbed).sum();
    if disturbed > 0 {
        println!(
            "\nanother tracer was at work during {disturbed} measurements: not to be relied on"
        );
    }
    Ok(())
}

//! The soak (`cargo xtask soak`): forktrace over the whole host for an hour with a mixed load beside
//! it. What it takes of memory, descriptors, maps and time is sampled, and must not grow; hangs must
//! be found, and nothing else.

mod growth;
mod load;
mod report;
mod sample;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use forktrace_tests::{
    Need, clean_up,
    run::{Job, adopt_orphans},
};
use nix::sys::signal::Signal;

use crate::{load::Load, sample::Tracer};

/// How often findings are looked for: whom they are about must be alive then to be known.
const LOOK: Duration = Duration::from_millis(200);
/// How long the tracer may take to start and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Parser)]
#[command(name = "cargo xtask soak", about = "Trace the whole host for an hour under a mixed load")]
struct Cli {
    /// How long, in minutes. The first quarter is to warm up and does not count.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Seconds between two samples.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Where the samples and the result go too.
    #[arg(long, value_name = "FILE", default_value = "target/soak.json")]
    json: PathBuf,
    /// Trace the load alone and not the whole host, whose other work goes up and down.
    #[arg(long)]
    alone: bool,
    /// Judge the samples of an earlier run again, and trace nothing.
    #[arg(long, value_name = "FILE")]
    again: Option<PathBuf>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.again {
        Some(file) => again(file),
        None => soak(&cli),
    };
    clean_up();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What the samples of an earlier run say of growth.
fn again(file: &Path) -> Result<bool> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let samples = report::samples(&text).with_context(|| file.display().to_string())?;
    let trends = growth::of(&samples);
    print!("{}", report::table(&trends));
    Ok(!trends.iter().any(|trend| trend.grows))
}

/// Whether nothing grew, every hang was found and nothing else was.
fn soak(cli: &Cli) -> Result<bool> {
    for need in [Need::Tracing, Need::Cc, Need::Python] {
        if let Some(missing) = need.missing() {
            anyhow::bail!("{missing}");
        }
    }
    adopt_orphans()?;
    let folder = tempfile::Builder::new().prefix("forktrace-soak-").tempdir()?;
    let log = folder.path().join("soak.jsonl.zst").display().to_string();
    let own = std::process::id().to_string();
    let target: &[&str] = if cli.alone { &["-p", &own] } else { &["-a"] };
    let options = ["-q", "-o", &log, "--rotate-size", "4M", "--keep", "3"];
    let mut job = Job::forktrace(&[&options, target].concat())?;
    let mut tracer = Tracer::attach(&mut job, PATIENCE)?;
    let mut load = Load::new()?;
    let (start, length) = (Instant::now(), Duration::from_secs(cli.minutes * 60));
    let (mut samples, every) = (Vec::new(), Duration::from_secs(cli.every));
    let mut due = every;
    println!("{}", report::HEAD);
    while start.elapsed() < length {
        load.step(start.elapsed(), &job.stdout())?;
        if start.elapsed() >= due {
            due = start.elapsed() + every;
            let sample = tracer.sample(start.elapsed()).context("did forktrace end?")?;
            println!("{}", report::row(&sample));
            samples.push(sample);
        }
        sleep(LOOK);
    }
    load.finish(&mut || job.stdout())?;
    job.signal(Signal::SIGINT)?;
    let ended = job.wait(PATIENCE)?;
    ended.expect_code(0)?;
    ensure!(samples.len() >= 8, "{} samples are too few for a trend", samples.len());
    let trends = growth::of(&samples);
    let result = report::Result { minutes: cli.minutes, samples, trends, found: load.found };
    print!("\n{}", result.text());
    std::fs::write(&cli.json, result.json()?)
        .with_context(|| format!("writing {}", cli.json.display()))?;
    println!("\nwritten to {}", cli.json.display());
    Ok(result.is_good())
}

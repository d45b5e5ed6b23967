//! The scoreboard (`cargo xtask score`): every case of the corpus under forktrace, the verdict beside
//! the truth, recall and precision; and real software that forks, in which nothing may be found.

mod corpus;
mod doc;
mod real;
mod sum;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use forktrace_tests::{clean_up, run::adopt_orphans};

use corpus::Mode;

#[derive(Parser)]
#[command(name = "cargo xtask score", about = "Measure the verdicts against the truth")]
struct Cli {
    /// How often each case is run.
    #[arg(long, default_value_t = 1)]
    runs: u32,
    /// How many cases run at a time; they mostly wait.
    #[arg(long, default_value_t = 6)]
    jobs: usize,
    /// Run the real software instead of the corpus. Nothing is installed: what is not there is
    /// skipped. PYTHON names the Python that has CPython's tests, if it is not python3.
    #[arg(long)]
    real: bool,
    /// Run the corpus with --exact.
    #[arg(long)]
    exact: bool,
    /// Attach to each case only once it hangs.
    #[arg(long, conflicts_with_all = ["real", "exact"])]
    late: bool,
    /// Run only what has this in its name, and leave docs/scoreboard.md as it is.
    filter: Option<String>,
}

fn main() -> ExitCode {
    let result = score(&Cli::parse());
    clean_up();
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("score: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing wrong was said, and nothing less than the rows demand.
fn score(cli: &Cli) -> Result<bool> {
    let filter = cli.filter.as_deref();
    if cli.real {
        adopt_orphans()?;
        let rows = real::run(filter, cli.runs);
        print!("{}", doc::software(&rows));
        if filter.is_none() {
            doc::write_real(&rows)?;
        }
        return Ok(rows.iter().all(|(.., came)| came.is_good()));
    }
    let mode = match (cli.exact, cli.late) {
        (true, _) => Mode::Exact,
        (_, true) => Mode::Late,
        _ => Mode::Full,
    };
    let rows = corpus::run(filter, cli.runs, cli.jobs, mode);
    let sum = sum::Sum::of(&rows, mode);
    print!("{}", doc::table(&rows));
    print!("\n{}", doc::result(&rows, &sum));
    if filter.is_none() {
        doc::write_corpus(&rows, &sum, cli.runs, mode)?;
    }
    Ok(sum.is_good())
}

//! The command: flags parsed, then built, then run.

mod args;
mod demo;
mod evidence;
mod failure;
mod live;
mod looks;
mod losses;
mod native;
mod output;
mod pipeline;
mod report;
mod shortfalls;
mod trace;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _, error::ErrorKind};

pub use args::Cli;
use args::Command;
use failure::Failure;

/// Runs the command that the process was started as.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors. A reader that is gone cannot be told.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 });
        }
    };
    let result = match cli.command {
        Some(Command::Demo { name, output }) => demo::run(name.as_deref(), &output),
        Some(Command::Report { file, output }) => report::run(&file, &output),
        None => trace::run(&cli.trace),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("forktrace: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

/// A usage error in clap's own words and form.
fn usage(message: &str) -> Failure {
    let error = Cli::command().error(ErrorKind::MissingRequiredArgument, message);
    Failure::Usage(error.render().to_string().trim_start_matches("error: ").trim_end().to_owned())
}

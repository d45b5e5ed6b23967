//! The command line: flags are parsed, checked and run.

mod args;
mod budget;
mod check;
mod demo;
mod doctor;
mod dump;
mod export;
mod failure;
mod filter;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzed;
mod interrupts;
mod live;
mod log_files;
mod log_stream;
mod output;
mod pages;
mod phases;
mod progress;
mod report;
mod schema;
#[cfg(feature = "serve")]
mod serve;
mod sinks;
#[cfg(feature = "top")]
mod top;
mod trace;
mod version;

use std::process::ExitCode;

use clap::{
    Parser as _,
    error::{ContextKind, ContextValue},
};

pub use args::Cli;
use args::Command;
use failure::Failure;

use forktrace_collect::kernel;

/// Runs the command of this process's arguments and returns its exit status.
pub fn main() -> ExitCode {
    // A setuid forktrace must do nothing at all for its caller.
    if let Err(error) = kernel::check_installation() {
        let failure = Failure::Kernel(error);
        failure::say(&failure.to_string());
        return ExitCode::from(failure.code());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            let failure = Failure::Usage(shortened(&error));
            failure::say(&failure.to_string());
            return ExitCode::from(failure.code());
        }
        Err(error) => {
            // Help and version are answers, not errors. A closed stdout is no error either.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
    };
    let result = match cli.command {
        Some(Command::Dump(args)) => dump::run(*args),
        Some(Command::Demo { name, output }) => demo::run(name.as_deref(), &output),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Export(args)) => export::run(&args),
        #[cfg(feature = "serve")]
        Some(Command::Serve(args)) => serve::run(*args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Schema) => schema::run(),
        #[cfg(feature = "top")]
        Some(Command::Top(args)) => top::run(&args),
        Some(Command::Man { name, dir }) => pages::man(name.as_deref(), dir.as_deref()),
        Some(Command::Completions { shell }) => pages::completions(shell),
        None => trace::run(&cli.trace),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if !failure.is_quiet() {
                failure::say(&failure.to_string());
            }
            ExitCode::from(failure.code())
        }
    }
}

/// clap's message in one sentence, without its paragraphs on usage.
fn shortened(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let is_message = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more");
    let lines = text.lines().take_while(is_message);
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let sentence = words.join(" ");
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence);
    // This tip is about values that look like flags. No option here takes such a value.
    let sentence = sentence.split(" tip: to pass").next().unwrap_or(sentence);
    let sentence = sentence.replace(" tip: ", "; ");
    match error.get(ContextKind::InvalidArg).or(error.get(ContextKind::InvalidSubcommand)) {
        Some(ContextValue::String(argument)) if !argument.starts_with('-') => {
            let args: Vec<String> =
                std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
            let Some(at) = args.iter().position(|arg| arg == argument) else {
                return format!("{sentence} (see forktrace --help)");
            };
            let (ours, command) = args.split_at(at);
            let line = [&["forktrace".to_owned()], ours, &["--".to_owned()], command].concat();
            let line = line.join(" ");
            format!("{sentence}; to trace a command, write -- before it: {line}")
        }
        _ => format!("{sentence} (see forktrace --help)"),
    }
}

/// A usage error with a pointer to `--help`.
fn usage(message: &str) -> Failure {
    Failure::Usage(format!("{message} (see forktrace --help)"))
}
